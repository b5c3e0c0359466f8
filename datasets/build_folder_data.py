"""Writes your own photographs and masks as records.

    python datasets/build_folder_data.py --image_dir=photos --label_dir=masks \\
        --class_names=background,cat,dog --output_dir=my_records

A mask is a PNG with one class id a pixel, grey or palette, named as its photograph: 0
is the first class; 255 is ignored. `train.py --dataset_dir=my_records` needs no more.
"""

import dataclasses
from pathlib import Path

import numpy as np

from deeplab_tf import program
from deeplab_tf.data import building, labels
from deeplab_tf.data.building import Files, Pair
from deeplab_tf.data.spec import DatasetSpec, distinct_colors
from deeplab_tf.errors import FlagError
from deeplab_tf.settings import flag, positive


@dataclasses.dataclass(frozen=True, kw_only=True)
class FolderConfig:
    """Writes your own photographs and masks as records, and dataset.json."""

    image_dir: str | None = flag("Folder of the images.", None)
    label_dir: str | None = flag("Folder of the masks, named as the images.", None)
    output_dir: str | None = flag("Where the records go.", None)
    name: str = flag("Name of the data set.", "own")
    class_names: tuple[str, ...] = flag("Names of the classes, from id 0.", ())
    num_classes: int | None = flag("How many classes, where they have no names.", None)
    ignore_label: int = flag("Id of pixels that count nowhere.", 255)
    train_list: str | None = flag("File of the stems to train on, one a line.", None)
    val_list: str | None = flag("File of the stems to test on.", None)
    val_fraction: float = flag("Share to test on, without lists.", 0.2)
    seed: int = flag("Of that choice.", 0)
    label_map: tuple[str, ...] = flag("Ids to change, as 255:1,7:0.", ())
    reduce_zero_label: bool = flag(
        "Ids 1, 2, ... become 0, 1, ..., and 0 the ignore label.", False
    )
    shards: int = flag("Files a split.", 4)
    work: building.WorkConfig = building.WorkConfig()

    def __post_init__(self) -> None:
        for name in ("image_dir", "label_dir", "output_dir"):
            if not getattr(self, name):
                raise FlagError(f"--{name} is missing")
        if not self.class_names and not self.num_classes:
            raise FlagError(
                "--class_names is missing: the names of the classes from id 0, as "
                "background,cat,dog; or give --num_classes"
            )
        if self.num_classes not in (None, len(self.class_names) or self.num_classes):
            raise FlagError(
                f"--num_classes={self.num_classes}, but --class_names has "
                f"{len(self.class_names)} names; the ignore label is not counted"
            )
        positive(self, "shards", "num_classes")
        if not 0 < self.val_fraction < 1:
            raise FlagError(f"--val_fraction={self.val_fraction}: a share, as 0.2")
        if bool(self.train_list) != bool(self.val_list):
            raise FlagError("--train_list and --val_list go together")


def build(config: FolderConfig) -> None:
    """Builds the splits train and val.

    Raises:
        InputError: A file is missing, damaged, or breaks the label contract.
    """
    names = config.class_names or tuple(
        f"class_{i}" for i in range(config.num_classes or 0)
    )
    spec = DatasetSpec(
        name=config.name,
        classes=names,
        palette=distinct_colors(len(names)),
        ignore_label=config.ignore_label,
    )
    splits, table = _splits(config), _table(config)
    building.build(
        {split: Files(pairs=pairs, table=table) for split, pairs in splits.items()},
        spec,
        config.output_dir or "",
        shards=config.shards,
        work=config.work,
    )


def _splits(config: FolderConfig) -> dict[str, list[Pair]]:
    images, masks = Path(config.image_dir or ""), Path(config.label_dir or "")
    if config.train_list and config.val_list:
        lists = {"train": config.train_list, "val": config.val_list}
        return {
            split: building.pairs_by_list(Path(path), images, masks)
            for split, path in lists.items()
        }
    pairs = building.pairs_by_stem(images, masks)
    return building.divided(pairs, config.val_fraction, config.seed)


def _table(config: FolderConfig) -> np.ndarray | None:
    changes = {}
    if config.reduce_zero_label:
        changes = {0: config.ignore_label} | {i + 1: i for i in range(255)}
        changes[config.ignore_label] = config.ignore_label
    for item in config.label_map:
        try:
            old, new = map(int, item.split(":"))
        except ValueError:
            raise FlagError(f"--label_map={item}: as 255:1, old id and new") from None
        if not (0 <= old < 65536 and 0 <= new < 256):
            raise FlagError(
                f"--label_map={item}: ids are 0 to 255 in records, and below 65536 in "
                "masks"
            )
        changes[old] = new
    return labels.mapping(changes) if changes else None


if __name__ == "__main__":
    program.run(FolderConfig, build)
