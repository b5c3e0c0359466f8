"""Writes Cityscapes as records, with the classes of its evaluation.

    python datasets/build_cityscapes_data.py --cityscapes_root=cityscapes

with leftImg8bit and gtFine below that folder, as out of the archives. Training
ids are made from the labelIds files; cityscapesScripts is not needed. With gtCoarse and
leftImg8bit/train_extra beside them, --splits=train_coarse makes 22,973 records of the
fine annotations of train and the coarse ones of train_extra.
"""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

from deeplab_tf import cli, dataset_builders
from deeplab_tf.config.fields import flag, require_given
from deeplab_tf.data import image_files
from deeplab_tf.data.image_folders import match_files
from deeplab_tf.data.labels import contract
from deeplab_tf.data.specs import cityscapes
from deeplab_tf.dataset_builders import FileSource, Pair, published
from deeplab_tf.errors import FlagError, InputError

_IMAGE = "_leftImg8bit.png"
# Split -> the annotations and folders that make it.
_FOLDERS = {
    "train_fine": (("gtFine", "train"),),
    "val_fine": (("gtFine", "val"),),
    "trainval_fine": (("gtFine", "train"), ("gtFine", "val")),
    "test_fine": (("gtFine", "test"),),
    "train_coarse": (("gtFine", "train"), ("gtCoarse", "train_extra")),
    "trainval_coarse": (
        ("gtFine", "train"),
        ("gtFine", "val"),
        ("gtCoarse", "train_extra"),
    ),
}
_HINTS = {
    "make": "unpack the archive of the annotations again",
    "read": "cityscapesScripts makes it; or give --label_ids=make",
}
# Annotations -> archives of the images, and of the masks.
_ARCHIVES = {
    "gtFine": ("leftImg8bit_trainvaltest.zip", "gtFine_trainvaltest.zip"),
    "gtCoarse": ("leftImg8bit_trainextra.zip", "gtCoarse.zip"),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class CityscapesConfig:
    """Writes Cityscapes as records: train_fine and val_fine, and what else is asked."""

    topic: ClassVar = "Data set"
    cityscapes_root: str = flag("Folder of leftImg8bit and gtFine.", "./cityscapes")
    splits: tuple[str, ...] = flag(
        f"Splits to write, of {', '.join(_FOLDERS)}.", ("train_fine", "val_fine")
    )
    label_ids: Literal["make", "read"] = flag(
        "Make training ids of the labelIds files, or read the labelTrainIds files of "
        "cityscapesScripts.",
        "make",
    )
    download: bool = flag("Tell what to fetch by hand: it needs an account.", False)
    output_dir: str = flag("Where the records go.", "./tfrecord")
    parallel: dataset_builders.ParallelConfig = dataset_builders.ParallelConfig()

    def __post_init__(self) -> None:
        require_given(self, "splits")
        for split in self.splits:
            if split not in _FOLDERS:
                raise FlagError(f"--splits={split}: only {', '.join(_FOLDERS)}")


def build(config: CityscapesConfig) -> None:
    """Builds the splits that are asked for.

    Raises:
        InputError: A folder or file is missing or damaged.
    """
    if config.download:
        _check_downloaded(config)
    splits = {split: _source(config, split) for split in config.splits}
    published.build(
        splits, cityscapes.SPEC, config.output_dir, shards=10, parallel=config.parallel
    )


def _source(config: CityscapesConfig, split: str) -> FileSource:
    pairs = [
        pair for folder in _FOLDERS[split] for pair in _pairs(config, split, *folder)
    ]
    if config.label_ids == "read":
        return FileSource(pairs=pairs, read_mask=published.read_training_ids)
    table = contract.id_table(cityscapes.training_ids())
    return FileSource(pairs=pairs, read_mask=image_files.read_mask, table=table)


def _pairs(
    config: CityscapesConfig, split: str, annotations: str, folder: str
) -> Iterator[Pair]:
    root = Path(config.cityscapes_root)
    images = match_files(root / "leftImg8bit" / folder, f"*/*{_IMAGE}").values()
    if not images:
        raise InputError(
            f"--cityscapes_root={root}: no images leftImg8bit/{folder}/*/*{_IMAGE}, of "
            f"which {split} is made"
        )
    kind = "labelIds" if config.label_ids == "make" else "labelTrainIds"
    for image in images:
        name = image.name.removesuffix(_IMAGE)
        label = root / annotations / folder / image.parent.name
        label /= f"{name}_{annotations}_{kind}.png"
        if folder == "test":  # Its masks are dummies, on which nothing can be scored.
            yield Pair(name=name, image=image, label=None)
            continue
        if not label.is_file():
            raise InputError(f"{label}: no such file; {_HINTS[config.label_ids]}")
        yield Pair(name=name, image=image, label=label)


def _check_downloaded(config: CityscapesConfig) -> None:
    """Raises an InputError that names the archives to fetch by hand."""
    root = Path(config.cityscapes_root)
    needed = {folder for split in config.splits for folder in _FOLDERS[split]}
    absent = sorted({name for folder in needed for name in _absent(root, *folder)})
    if absent:
        raise InputError(
            "Cityscapes asks for an account: log in at "
            f"https://www.cityscapes-dataset.com/login, fetch {' and '.join(absent)} "
            f"and unpack them in {root}; then give the same command"
        )


def _absent(root: Path, annotations: str, folder: str) -> Iterator[str]:
    images, masks = _ARCHIVES[annotations]
    if not (root / "leftImg8bit" / folder).is_dir():
        yield images
    if folder != "test" and not (root / annotations / folder).is_dir():
        yield masks


def main() -> None:
    """`deeplab-build-cityscapes`."""
    cli.run(CityscapesConfig, build, retired=published.RETIRED)


if __name__ == "__main__":
    main()
