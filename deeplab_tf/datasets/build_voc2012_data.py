"""Writes PASCAL VOC 2012 as records, one split for each list of the devkit.

    python datasets/build_voc2012_data.py --output_dir=voc_records

with ./VOCdevkit/VOC2012 as it comes out of VOCtrainval_11-May-2012.tar. Palette masks
are read as class ids, so SegmentationClassRaw is not needed. With
--sbd_dir=benchmark_RELEASE/dataset, out of SBD's benchmark.tgz, or with a folder
SegmentationClassAug, there are train_aug and trainval_aug, too.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from absl import logging

from deeplab_tf import cli, dataset_builders, download
from deeplab_tf.config.fields import flag
from deeplab_tf.data.image_folders import match_files
from deeplab_tf.data.specs import voc2012
from deeplab_tf.dataset_builders import FileSource, archives, matlab, published
from deeplab_tf.errors import InputError

_ROOT = "./VOCdevkit/VOC2012"
_SPLITS_OF_SBD = ("train", "val")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Voc2012Config:
    """Writes PASCAL VOC 2012 as records: one split for each list."""

    topic: ClassVar = "Data set"
    image_folder: str = flag("Folder of the images.", f"{_ROOT}/JPEGImages")
    semantic_segmentation_folder: str = flag(
        "Folder of the masks; without the default one, SegmentationClass beside it.",
        f"{_ROOT}/SegmentationClassRaw",
    )
    list_folder: str = flag(
        "Folder of the lists, one a split.", f"{_ROOT}/ImageSets/Segmentation"
    )
    sbd_dir: str | None = flag(
        "SBD's dataset folder, or a SegmentationClassAug: adds train_aug and "
        "trainval_aug, by their lists or what makes them.",
        None,
    )
    download: bool = flag("Fetch VOC, and SBD if asked for, where absent.", False)
    output_dir: str = flag("Where the records go.", "./tfrecord")
    parallel: dataset_builders.ParallelConfig = dataset_builders.ParallelConfig()


def build(config: Voc2012Config) -> None:
    """Builds a split for each list in `list_folder`, and those of SBD.

    Raises:
        InputError: A folder or file is missing or damaged, or train_aug has images of
            val.
    """
    if config.download:
        _download(config)
    stems = _read_lists(Path(config.list_folder))
    if config.sbd_dir:
        stems = _add_sbd(stems, Path(config.sbd_dir)) | stems
    published.check_leakage(stems)
    masks = _mask_folder(Path(config.semantic_segmentation_folder))
    splits = {
        split: _source(config, masks, split, stems[split]) for split in sorted(stems)
    }
    published.build(splits, voc2012.SPEC, config.output_dir, parallel=config.parallel)


def _download(config: Voc2012Config) -> None:
    layout = "VOCdevkit/VOC2012/JPEGImages"
    folder = archives.unpack_folder("image_folder", config.image_folder, layout)
    wanted = {archives.VOC_2012: folder}
    if config.sbd_dir:
        sbd = archives.SBD
        wanted[sbd] = archives.unpack_folder("sbd_dir", config.sbd_dir, sbd.holds)
    download.fetch(wanted)


def _read_lists(folder: Path) -> dict[str, list[str]]:
    lists = list(match_files(folder, "*.txt").values())
    if not lists:
        raise InputError(f"--list_folder={folder}: no lists (*.txt)")
    return {path.stem: published.read_stems(path) for path in lists}


def _add_sbd(stems: Mapping[str, Sequence[str]], sbd: Path) -> dict[str, list[str]]:
    """Names of train_aug and trainval_aug: all of SBD and of train that val has not."""
    for split in ("train", "val"):
        if split not in stems:
            raise InputError(f"--sbd_dir={sbd}: without the list {split}.txt of VOC")
    val = set(stems["val"])
    train = sorted({*_stems_of_sbd(sbd), *stems["train"]} - val)
    return {"train_aug": train, "trainval_aug": sorted({*train, *val})}


def _stems_of_sbd(sbd: Path) -> list[str]:
    """By SBD's lists where it has them, or else by its masks."""
    lists = [sbd / f"{split}.txt" for split in _SPLITS_OF_SBD]
    if all(path.is_file() for path in lists):
        return [stem for path in lists for stem in published.read_stems(path)]
    masks = [*match_files(sbd, "cls/*.mat"), *match_files(sbd, "*.png")]
    if not masks:
        raise InputError(f"--sbd_dir={sbd}: neither cls/*.mat nor *.png are there")
    return [stem for (stem,) in masks]


def _source(
    config: Voc2012Config, masks: Path, split: str, stems: Sequence[str]
) -> FileSource:
    image_folders, mask_folders = [Path(config.image_folder)], [masks]
    if config.sbd_dir and split.endswith("_aug"):  # The masks of VOC go first.
        image_folders += [Path(config.sbd_dir, "img")]
        mask_folders += [Path(config.sbd_dir, "cls"), Path(config.sbd_dir)]
    pairs = published.voc_pairs(
        stems, image_folders, [] if split == "test" else mask_folders
    )
    return FileSource(pairs=pairs, read_mask=matlab.read_sbd_or_png)


def _mask_folder(folder: Path) -> Path:
    plain = folder.with_name("SegmentationClass")
    if not folder.is_dir() and folder.name == "SegmentationClassRaw" and plain.is_dir():
        logging.info("%s is not there; taking %s", folder, plain)
        return plain
    if not folder.is_dir():
        raise InputError(
            f"--semantic_segmentation_folder={folder}: no such folder; give "
            "--download, or see docs/data.md"
        )
    return folder


def main() -> None:
    """`deeplab-build-voc`."""
    cli.run(Voc2012Config, build, retired=published.RETIRED)


if __name__ == "__main__":
    main()
