"""Writes your own photographs and masks as records.

    python datasets/build_folder_data.py --image_dir=photos --label_dir=masks \\
        --class_names=background,cat,dog --output_dir=my_records

A mask is a PNG with one class id a pixel, gray or palette, named as its photograph: 0
is the first class; 255 is ignored. `train.py --dataset_dir=my_records` needs no more.

Masks in colors need --color_table=colors.txt, lines as "128 64 128 road". Objects as
COCO has them need --coco_annotations=instances.json and no masks. Where names of masks
and photographs differ, --image_glob=*/*_photo.jpg --label_glob=*/*_mask.png pair those
whose * stand for the same.

What labelme, CVAT, Roboflow, Label Studio and SuperAnnotate export is read as it is:

    python datasets/build_folder_data.py --annotation_dir=export --output_dir=my_records
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from absl import logging

from deeplab_tf import cli, dataset_builders
from deeplab_tf.config import remedies
from deeplab_tf.config.fields import flag, require_positive, text
from deeplab_tf.data import image_files
from deeplab_tf.data.class_names import resolve
from deeplab_tf.data.labels import contract
from deeplab_tf.data.spec import DatasetSpec, distinct_colors
from deeplab_tf.dataset_builders import (
    FileSource,
    SampleSource,
    annotation_tools,
    coco,
    color_table,
)
from deeplab_tf.dataset_builders.splits import Splitter
from deeplab_tf.errors import FlagError, InputError


@dataclasses.dataclass(frozen=True, kw_only=True)
class FolderConfig:
    """Writes your own photographs and masks as records, and dataset.json."""

    topic: ClassVar = "Photographs and masks"
    image_dir: str | None = flag(
        "Folder of the images; needed without --annotation_dir.", None
    )
    label_dir: str | None = flag("Folder of the masks, named as the images.", None)
    output_dir: str | None = flag("Where the records go.", None, required=True)
    name: str = flag("Name of the data set.", "own")
    class_names: tuple[str, ...] = flag(
        "Names of the classes, from id 0; or a file of them, one a line.", ()
    )
    num_classes: int | None = flag("How many classes, where they have no names.", None)
    ignore_label: int = flag("Id of pixels that count nowhere.", 255)
    image_glob: str | None = flag(
        "Images, below --image_dir, as */*_photo.jpg; with --label_glob.", None
    )
    label_glob: str | None = flag(
        "Masks of --image_glob, below --label_dir, as */*_mask.png: each * stands for "
        "the same.",
        None,
    )
    color_table: str | None = flag(
        "File that tells what colors of masks mean: r g b name, or #rrggbb name, a "
        "line; the name ignore counts nowhere.",
        None,
    )
    coco_annotations: tuple[str, ...] = flag(
        "Objects as COCO has them, instead of masks: one file, or those to train and "
        "to test on.",
        (),
    )
    annotations: dataset_builders.AnnotationsConfig = (
        dataset_builders.AnnotationsConfig()
    )
    split_by_folder: bool | None = flag(
        "Folders in --image_dir and --label_dir, or what the first * of --image_glob "
        "stands for, are the splits: train, val.",
        None,
    )
    train_list: str | None = flag("File of the stems to train on, one a line.", None)
    val_list: str | None = flag("File of the stems to test on.", None)
    val_fraction: float = flag(
        "Share of the photographs to test on, without lists or folders of splits; 0 "
        "trains on everything.",
        0.2,
    )
    seed: int = flag("Seed of the choice that --val_fraction makes.", 0)
    label_map: tuple[str, ...] = flag("Ids to change, as 255:1,7:0.", ())
    reduce_zero_label: bool = flag(
        "Ids 1, 2, ... become 0, 1, ..., and 0 the ignore label.", False
    )
    shards: int = flag("Files a split.", 4)
    images: dataset_builders.ImagesConfig = dataset_builders.ImagesConfig()
    parallel: dataset_builders.ParallelConfig = dataset_builders.ParallelConfig()

    def __post_init__(self) -> None:
        _check_given(self)
        _check_output(self)
        _check_chance(self)
        if not (self.class_names or self.num_classes or self.has_class_names):
            raise FlagError(
                "--class_names is missing: the names of the classes from id 0, as "
                "background,cat,dog; or give --num_classes"
            )
        count = len(self.class_names)
        if count > 1 and self.num_classes not in (None, count):
            raise FlagError(
                f"--num_classes={self.num_classes}, but --class_names has {count} "
                "names; the ignore label is not counted"
            )
        require_positive(self, "shards", "num_classes")
        if not 0 <= self.val_fraction < 1:
            raise FlagError(
                f"--val_fraction={self.val_fraction}: a share below 1, as 0.2; 0 "
                "trains on everything"
            )
        _ = self.label_table  # Raises where it cannot be meant.

    @property
    def has_class_names(self) -> bool:
        """Whether a file knows the names of the classes."""
        return bool(
            self.color_table or self.coco_annotations or self.annotations.annotation_dir
        )

    @property
    def folders(self) -> tuple[Path, Path]:
        """Of images, and of masks."""
        return Path(self.image_dir or ""), Path(self.label_dir or "")

    @property
    def label_table(self) -> np.ndarray | None:
        """Id in the masks -> id in the records; None where they are the same."""
        changes = {}
        if self.reduce_zero_label:
            changes = {0: self.ignore_label} | {i + 1: i for i in range(255)}
            changes[self.ignore_label] = self.ignore_label
        mapped: set[int] = set()
        for item in self.label_map:
            old, new = _change(item)
            if old in mapped and changes[old] != new:
                raise FlagError(
                    f"--label_map={text(self.label_map)}: old id {old} twice; give it "
                    "once"
                )
            mapped.add(old)
            changes[old] = new
        return contract.id_table(changes) if changes else None

    @property
    def splitter(self) -> Splitter:
        """Divides photographs into train and val."""
        lists = {}
        if self.train_list and self.val_list:
            lists = {"train": Path(self.train_list), "val": Path(self.val_list)}
        return Splitter(
            lists=lists,
            by_folder=self.split_by_folder,
            fraction=self.val_fraction,
            seed=self.seed,
        )


def _change(item: str) -> tuple[int, int]:
    """An item of `--label_map`: old id and new."""
    try:
        old, new = map(int, item.split(":"))
    except ValueError:
        raise FlagError(f"--label_map={item}: as 255:1, old id and new") from None
    if not (0 <= old < 65536 and 0 <= new < 256):
        raise FlagError(
            f"--label_map={item}: ids are 0 to 255 in records, and below 65536 in masks"
        )
    return old, new


def _exclude(config: FolderConfig, given: str, others: Sequence[str]) -> None:
    for name in others:
        if getattr(config, name):
            raise FlagError(f"--{given} and --{name}: one of them")


def _needed(config: FolderConfig) -> list[str]:
    """Flags that must be given; raises where others exclude each other."""
    needed = ["image_dir", "label_dir", "output_dir"]
    if config.annotations.annotation_dir:
        needed = ["output_dir"]
        others = "label_dir image_glob color_table coco_annotations label_map"
        _exclude(config, "annotation_dir", f"{others} reduce_zero_label".split())
    elif config.coco_annotations:
        needed.remove("label_dir")
        masks = "label_dir image_glob color_table label_map reduce_zero_label"
        _exclude(config, "coco_annotations", masks.split())
    return needed


def _check_given(config: FolderConfig) -> None:
    """Raises where a flag is missing, has no effect, or two contradict each other."""
    needed = _needed(config)
    if config.train_list:
        _exclude(config, "train_list", ["split_by_folder"])
    for name in needed:
        if not getattr(config, name):
            raise FlagError(f"--{name} is missing")
    for one, other in (("train_list", "val_list"), ("image_glob", "label_glob")):
        if bool(getattr(config, one)) != bool(getattr(config, other)):
            raise FlagError(f"--{one} and --{other} go together")
    if len(config.coco_annotations) > 2:
        raise FlagError("--coco_annotations: one file, or two, to train and to test on")


def _check_output(config: FolderConfig) -> None:
    """Raises where records would lie among photographs or masks."""
    for name in ("image_dir", "label_dir"):
        given = getattr(config, name)
        if given and Path(given).resolve() == Path(config.output_dir or "").resolve():
            raise FlagError(
                f"--output_dir={config.output_dir}: that is --{name}, too, and records "
                "would lie among what they are made from; take another folder"
            )


def _check_chance(config: FolderConfig) -> None:
    """Raises where nothing is left to chance, and a flag says how it should be."""
    deciding = {
        "train_list": bool(config.train_list),
        "split_by_folder": bool(config.split_by_folder),
        "coco_annotations": len(config.coco_annotations) == 2,
    }
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if field.name not in ("val_fraction", "seed") or value == field.default:
            continue
        for name, decides in deciding.items():
            if decides:
                raise FlagError(
                    f"--{field.name}={value} has no effect: --{name} says what to test "
                    "on; leave one of them out"
                )


def build(config: FolderConfig) -> None:
    """Builds the splits train and val, or those that folders are.

    Raises:
        InputError: A file is missing, damaged, or breaks the label contract. Where the
            folders are what an annotation tool exported, it says so.
    """
    try:
        _build(config)
    except InputError as error:
        if config.annotations.annotation_dir or config.coco_annotations:
            raise
        files = map(Path, (*config.class_names, config.color_table or ""))
        hint = annotation_tools.suggest(config.folders[::-1], files)
        raise type(error)(f"{error}{hint}") from None


def _build(config: FolderConfig) -> None:
    names = class_names(config)
    palette = distinct_colors(len(names))
    splits: Mapping[str, SampleSource]
    if config.annotations.annotation_dir:
        export = _read_export(config, names)
        splits, names = export.splits, export.classes
        palette = export.palette or distinct_colors(len(names))
    elif config.coco_annotations:
        splits, names = _coco_sources(config, names)
        palette = distinct_colors(len(names))
    elif config.color_table:
        table = color_table.read_color_table(
            Path(config.color_table), config.ignore_label
        )
        table = dataclasses.replace(
            table.reorder(names or table.classes), max_pixels=config.images.max_pixels
        )
        names, palette = table.classes, table.palette
        splits = _mask_sources(config, table)
    else:
        reader = functools.partial(
            image_files.read_mask, max_pixels=config.images.max_pixels
        )
        splits = _mask_sources(config, reader)
    _check_classes(config, names)
    spec = DatasetSpec(
        name=config.name,
        classes=names,
        palette=palette,
        ignore_label=config.ignore_label,
    )
    output = config.output_dir or ""
    dataset_builders.build(
        splits,
        spec,
        output,
        shards=config.shards,
        parallel=config.parallel,
        remedies=remedies.FOLDER,
        images=config.images,
    )


def _check_classes(config: FolderConfig, names: Sequence[str]) -> None:
    """Raises, or tells, where the number of classes means something else than given."""
    count, ignored = len(names), config.ignore_label
    if config.num_classes not in (None, count):
        raise FlagError(
            f"--num_classes={config.num_classes}, but there are {count} classes, "
            f"{contract.list_first(names)}; the ignore label is not counted"
        )
    if config.color_table and config.reduce_zero_label:
        raise FlagError(
            "--color_table and --reduce_zero_label: names would move to other ids; "
            "name the color ignore in the table"
        )
    if ignored <= count and config.reduce_zero_label:
        raise FlagError(
            f"--reduce_zero_label --ignore_label={ignored}: ids 1 to {count} of the "
            f"masks become classes 0 to {count - 1}, and {ignored} is one of these; "
            "leave --ignore_label out"
        )
    if ignored < count:
        logging.warning(
            'class %d, "%s", is ignored: --ignore_label=%d',
            ignored,
            names[ignored],
            ignored,
        )


def class_names(config: FolderConfig) -> tuple[str, ...]:
    """Names as given, or in the file given; empty where another file tells them.

    Raises:
        InputError: There is no such file, or what it lists are no classes.
    """
    names = config.class_names
    if names:
        names = resolve(names, photos=config.folders[0])
    elif not config.has_class_names:
        names = tuple(f"class_{i}" for i in range(config.num_classes or 0))
    if names and config.num_classes not in (None, len(names)):
        raise FlagError(
            f"--num_classes={config.num_classes}, but {config.class_names[0]} has "
            f"{len(names)} names; the ignore label is not counted"
        )
    return names


def _mask_sources(
    config: FolderConfig, reader: dataset_builders.MaskReader
) -> dict[str, SampleSource]:
    photos, masks = config.folders
    if config.image_glob and config.label_glob:
        splits = config.splitter.split_patterns(
            photos, config.image_glob, masks, config.label_glob
        )
    else:
        splits = config.splitter.split_folders(photos, masks)
    return {
        split: FileSource(
            pairs=pairs,
            read_mask=reader,
            table=config.label_table,
            max_pixels=config.images.max_pixels,
        )
        for split, pairs in splits.items()
    }


def _read_export(
    config: FolderConfig, names: tuple[str, ...]
) -> annotation_tools.Export:
    """What an annotation tool exported, divided into splits."""
    folder = Path(config.annotations.annotation_dir or "")
    export = annotation_tools.read_export(
        folder,
        Path(config.image_dir) if config.image_dir else None,
        config.annotations.annotation_tool,
        config.annotations.given
        | {"class_names": names, "ignore_label": config.ignore_label},
    )
    return export.divide(folder, config.splitter, config.images.max_pixels)


def _coco_sources(
    config: FolderConfig, names: tuple[str, ...]
) -> tuple[dict[str, SampleSource], tuple[str, ...]]:
    """Sources of COCO's annotations, and the names of their classes."""
    files = [Path(file) for file in config.coco_annotations]
    classes = [
        coco.choose_classes(coco.read_annotations(file), names, file) for file in files
    ]
    if classes[0] != classes[-1]:
        raise FlagError(
            f"--coco_annotations={','.join(config.coco_annotations)}: their categories "
            "differ"
        )
    by_split = config.splitter.split_annotations(config.folders[0], files)
    sources: dict[str, SampleSource] = {
        split: coco.CocoSource(
            file=file,
            pairs=pairs,
            classes=classes[0],
            ignore_label=config.ignore_label,
            max_pixels=config.images.max_pixels,
        )
        for split, (file, pairs) in by_split.items()
    }
    return sources, classes[0].names


def main() -> None:
    """`deeplab-build-folder`."""
    cli.run(FolderConfig, build)


if __name__ == "__main__":
    main()
