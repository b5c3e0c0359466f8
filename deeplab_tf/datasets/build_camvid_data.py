"""Writes CamVid as records, with the 11 classes of SegNet.

    python datasets/build_camvid_data.py --camvid_root=CamVid --output_dir=records

where CamVid holds images/{train,val,...} and labels/{train,val,...}; or SegNet's own
{train,val,test} and {train,val,test}annot, with or without its lists; or the original
701_StillsRaw_full and LabeledApproved_full, of 32 colors, with train.txt, val.txt and
test.txt. What is void becomes the ignore label.
"""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from deeplab_tf import cli, dataset_builders
from deeplab_tf.config.fields import flag
from deeplab_tf.data.labels import contract
from deeplab_tf.data.specs import camvid
from deeplab_tf.dataset_builders import FileSource, Pair, published
from deeplab_tf.dataset_builders.sources import read_list
from deeplab_tf.errors import InputError

_STILLS, _COLORED = "701_StillsRaw_full", "LabeledApproved_full"


@dataclasses.dataclass(frozen=True, kw_only=True)
class CamvidConfig:
    """Writes CamVid as records: the splits that are there."""

    topic: ClassVar = "Data set"
    camvid_root: str = flag("Folder of CamVid.", "./CamVid")
    list_folder: str | None = flag(
        "Lists train.txt, val.txt and test.txt; by default those in camvid_root.", None
    )
    output_dir: str = flag("Where the records go.", "./tfrecord")
    parallel: dataset_builders.ParallelConfig = dataset_builders.ParallelConfig()


def build(config: CamvidConfig) -> None:
    """Builds the splits train, val and test, as far as they are there.

    Raises:
        InputError: No split is there, or a file is missing or damaged.
    """
    root, lists = Path(config.camvid_root), _list_folder(config)
    void = contract.id_table({camvid.VOID: camvid.SPEC.ignore_label})
    splits = {}
    for split in ("train", "val", "test"):
        if pairs := find_pairs(root, split, lists):
            splits[split] = FileSource(
                pairs=pairs, read_mask=published.read_camvid, table=void
            )
    if not splits:
        raise InputError(
            f"--camvid_root={root}: neither images/train and labels/train, nor train "
            f"and trainannot are there, nor {lists}/train.txt"
        )
    published.check_leakage(
        {split: [pair.name for pair in files.pairs] for split, files in splits.items()}
    )
    published.build(splits, camvid.SPEC, config.output_dir, parallel=config.parallel)


def find_pairs(root: Path, split: str, lists: Path) -> list[Pair]:
    """Images and masks of a split, by its list or by its folders; none without.

    Args:
        root: Folder of CamVid.
        split: "test".
        lists: Folder in which `test.txt` may be.

    Raises:
        InputError: A file is missing, or a line is not of image and mask.
    """
    list_file = lists / f"{split}.txt"
    if list_file.is_file():
        return list(_pairs_by_list(root, list_file))
    return _pairs_by_folder(root, split)


def _list_folder(config: CamvidConfig) -> Path:
    if config.list_folder and not Path(config.list_folder).is_dir():
        raise InputError(f"--list_folder={config.list_folder}: no such folder")
    return Path(config.list_folder or config.camvid_root)


def _pairs_by_list(root: Path, list_file: Path) -> Iterator[Pair]:
    """Pairs by lines as `/SegNet/CamVid/train/a.png /SegNet/CamVid/trainannot/a.png`.

    In the original layout the name alone counts, and a line may be `a`.
    """
    original = (root / _STILLS).is_dir()
    for line in read_list(list_file):
        paths = [_resolve(root, column) for column in line.split()]
        name = paths[0].stem
        if original:
            paths = [root / _STILLS / f"{name}.png", root / _COLORED / f"{name}_L.png"]
        if len(paths) != 2:
            raise InputError(f'{list_file}: a line "{line}", not of image and mask')
        for path in paths:
            if not path.is_file():
                raise InputError(f"{path}: no such file; {list_file} lists it")
        yield Pair(name=name, image=paths[0], label=paths[1])


def _resolve(root: Path, listed: str) -> Path:
    """Where a path of a list is; of SegNet's only the last two parts are meant."""
    path = root / listed.lstrip("/")
    return path if path.is_file() else root.joinpath(*Path(listed).parts[-2:])


def _pairs_by_folder(root: Path, split: str) -> list[Pair]:
    for images, masks in (
        (root / "images" / split, root / "labels" / split),
        (root / split, root / f"{split}annot"),
    ):
        if images.is_dir():
            return dataset_builders.pairs_by_stem(images, masks)
    return []


def main() -> None:
    """`deeplab-build-camvid`."""
    cli.run(CamvidConfig, build, retired=published.RETIRED)


if __name__ == "__main__":
    main()
