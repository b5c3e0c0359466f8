"""Published data sets: their lists, masks and counts, as their builders share them."""

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from absl import logging

from deeplab_tf import dataset_builders
from deeplab_tf.config.fields import flag
from deeplab_tf.data import image_files
from deeplab_tf.data.labels import contract
from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.data.specs import camvid, cityscapes
from deeplab_tf.dataset_builders import (
    Pair,
    ParallelConfig,
    SampleSource,
    color_table,
)
from deeplab_tf.dataset_builders.archives import VOC_2010, unpack_folder
from deeplab_tf.dataset_builders.color_table import ColorTable
from deeplab_tf.dataset_builders.sources import check_unique, read_list
from deeplab_tf.download import Archive
from deeplab_tf.errors import InputError

# Flags of the official build_data.py.
RETIRED = {
    name: (str, "formats are seen in the files themselves")
    for name in ("image_format", "label_format")
}
_VOC_2010 = "./VOCdevkit/VOC2010"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Voc2010Config:
    """Settings of builders whose annotations are of photographs of VOC 2010."""

    image_folder: str = flag(
        "Folder of the images of VOC 2010.", f"{_VOC_2010}/JPEGImages"
    )
    semantic_segmentation_folder: str = flag("Folder of the masks.", "")
    list_folder: str = flag(
        "Folder of train.txt and val.txt.", f"{_VOC_2010}/ImageSets/Main"
    )
    download: bool = flag("Fetch VOC 2010 and the annotations, where absent.", False)
    output_dir: str = flag("Where the records go.", "./tfrecord")
    parallel: ParallelConfig = ParallelConfig()

    def archives(self, masks: Archive) -> dict[Archive, Path]:
        """Where photographs and masks are unpacked.

        Raises:
            FlagError: A flag names another folder than its archive holds.
        """
        image_flag, mask_flag = "image_folder", "semantic_segmentation_folder"
        layout = "VOCdevkit/VOC2010/JPEGImages"
        folder = self.semantic_segmentation_folder
        return {
            VOC_2010: unpack_folder(image_flag, self.image_folder, layout),
            masks: unpack_folder(mask_flag, folder, masks.holds),
        }

    def pairs(self) -> dict[str, list[Pair]]:
        """Images and masks of train and val, by the lists.

        Raises:
            InputError: A list, an image or a mask is missing, or the splits overlap.
        """
        folders = [Path(self.image_folder)], [Path(self.semantic_segmentation_folder)]
        stems = read_train_and_val(Path(self.list_folder))
        return {split: voc_pairs(some, *folders) for split, some in stems.items()}

    @property
    def has_mat_files(self) -> bool:
        """Whether the masks are .mat files, not PNG files."""
        masks = Path(self.semantic_segmentation_folder)
        return next(masks.glob("*.mat"), None) is not None


def read_stems(list_file: Path) -> list[str]:
    """Names of images in a list of VOC.

    A line may hold paths, "/JPEGImages/a.jpg /SegmentationClassAug/a.png", or more
    columns: the first one tells.

    Raises:
        InputError: No such list, no text, or a name that is there twice.
    """
    stems = [Path(line.split()[0]).stem for line in read_list(list_file)]
    return check_unique(list_file, stems)


def read_train_and_val(list_folder: Path) -> dict[str, list[str]]:
    """Names of the images of both splits, by the lists of a devkit.

    Raises:
        InputError: There is no such list, or they have an image in common.
    """
    stems = {}
    for split in ("train", "val"):
        path = list_folder / f"{split}.txt"
        if not path.is_file():
            raise InputError(f"--list_folder={list_folder}: no list {path.name} in it")
        stems[split] = read_stems(path)
    check_leakage(stems)
    return stems


def voc_pairs(
    stems: Sequence[str], image_folders: Sequence[Path], mask_folders: Sequence[Path]
) -> list[Pair]:
    """Images, and masks as .png or .mat, each from the first folder that has it.

    Args:
        stems: Names without suffix.
        image_folders: Where `<stem>.jpg` may be.
        mask_folders: Where masks may be; none for a split without.

    Raises:
        InputError: An image or mask is missing.
    """
    return [
        Pair(
            name=stem,
            image=_find_file(stem, image_folders, (".jpg",)),
            label=_find_file(stem, mask_folders, (".png", ".mat"))
            if mask_folders
            else None,
        )
        for stem in stems
    ]


def check_leakage(splits: Mapping[str, Sequence[str]]) -> None:
    """Leakage: raises an InputError where a training split has images of val or test.

    Args:
        splits: Names of the images of each split; "trainval..." may have those of val.
    """
    for split, stems in splits.items():
        if not split.startswith("train"):
            continue
        others = ("test",) if split.startswith("trainval") else ("val", "test")
        for other in others:
            held_out = set(splits.get(other, ()))
            leaked = [stem for stem in stems if stem in held_out]
            if leaked:
                raise InputError(
                    f"split {split}: {leaked[0]} is an image of {other}, too, and so "
                    f"are {len(leaked)} of {len(stems)}: scores on {other} would be of "
                    "what was trained on; take them out of the list"
                )


def build(
    splits: Mapping[str, SampleSource],
    spec: DatasetSpec,
    output_dir: str,
    *,
    shards: int = 4,
    parallel: ParallelConfig,
) -> None:
    """As `dataset_builders.build`; warns of splits of other sizes than the published.

    Raises:
        InputError: As there.
    """
    for split, source in splits.items():
        published = spec.split_sizes.get(split)
        if published not in (None, len(source)):
            logging.warning(
                "%s: %d images; %d were published", split, len(source), published
            )
    dataset_builders.build(splits, spec, output_dir, shards=shards, parallel=parallel)


def reduce_zero_label_table(spec: DatasetSpec) -> np.ndarray:
    """Id -> id, for masks that count the classes from 1, and have 0 for the rest."""
    counted = {label + 1: label for label in range(spec.num_classes)}
    return contract.id_table({0: spec.ignore_label} | counted)


def read_training_ids(path: Path) -> np.ndarray:
    """Ids of a labelTrainIds file of Cityscapes.

    Raises:
        InputError: It is no mask, or holds ids of a labelIds file.
    """
    ids = image_files.read_mask(path)
    others = np.unique(ids[(ids >= cityscapes.SPEC.num_classes) & (ids < 255)])
    if others.size:
        raise InputError(
            f"{path}: id {others[0]} is none of the {cityscapes.SPEC.num_classes} "
            "training ids: a labelIds file under the name of a labelTrainIds file; "
            "--label_ids=make makes training ids of the labelIds files"
        )
    return ids


def read_camvid(path: Path) -> np.ndarray:
    """Ids of a mask of CamVid, of SegNet's as they are, or of the 32 colors.

    Raises:
        InputError: It is no mask, or has another color.
    """
    if image_files.open_mask(path).mode in ("RGB", "RGBA"):
        return _camvid_colors()(path)
    return image_files.read_mask(path)


@functools.cache
def _camvid_colors() -> ColorTable:
    names = {camvid.VOID_COLOR: color_table.IGNORED} | camvid.names_by_color()
    return ColorTable(
        file="the 32 colors of CamVid",
        names=tuple(names.values()),
        colors=tuple(names),
        classes=camvid.SPEC.classes,
        ignore_label=camvid.SPEC.ignore_label,
    )


def _find_file(stem: str, folders: Sequence[Path], suffixes: Sequence[str]) -> Path:
    tried = list(_candidates(stem, folders, suffixes))
    for path in tried:
        if path.is_file():
            return path
    raise InputError(f"no such file: {', nor '.join(map(str, tried))}")


def _candidates(
    stem: str, folders: Sequence[Path], suffixes: Sequence[str]
) -> Iterator[Path]:
    for folder in folders:
        for suffix in suffixes:
            yield folder / (stem + suffix)
