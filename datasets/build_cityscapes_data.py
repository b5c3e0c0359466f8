"""Writes Cityscapes as records, with the classes of its evaluation.

    python datasets/build_cityscapes_data.py --cityscapes_root=cityscapes

with leftImg8bit and gtFine below that folder, as out of the archives. Training
ids are made from the labelIds files; cityscapesScripts is not needed.
"""

import dataclasses
from pathlib import Path

from deeplab_tf import program
from deeplab_tf.data import building, labels
from deeplab_tf.data.building import Files, Pair
from deeplab_tf.data.specs import cityscapes
from deeplab_tf.errors import InputError
from deeplab_tf.settings import flag

_IMAGE, _LABEL = "_leftImg8bit.png", "_gtFine_labelIds.png"
_FOLDERS = {"train_fine": "train", "val_fine": "val"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class CityscapesConfig:
    """Writes Cityscapes as records: train_fine and val_fine."""

    cityscapes_root: str = flag("Folder of leftImg8bit and gtFine.", "./cityscapes")
    output_dir: str = flag("Where the records go.", "./tfrecord")
    work: building.WorkConfig = building.WorkConfig()


def build(config: CityscapesConfig) -> None:
    """Builds the splits of the fine annotations.

    Raises:
        InputError: A folder or file is missing or damaged.
    """
    root = Path(config.cityscapes_root)
    training_ids = {label: i for i, (label, _, _) in enumerate(cityscapes.LABELS)}
    table = labels.mapping(training_ids, others=cityscapes.SPEC.ignore_label)
    splits = {
        split: Files(pairs=_pairs(root, folder), table=table)
        for split, folder in _FOLDERS.items()
    }
    building.build(
        splits, cityscapes.SPEC, config.output_dir, shards=10, work=config.work
    )


def _pairs(root: Path, folder: str) -> list[Pair]:
    images = sorted((root / "leftImg8bit" / folder).glob(f"*/*{_IMAGE}"))
    if not images:
        raise InputError(
            f"--cityscapes_root={root}: no images leftImg8bit/{folder}/*/*{_IMAGE}"
        )
    pairs = []
    for image in images:
        name = image.name.removesuffix(_IMAGE)
        label = root / "gtFine" / folder / image.parent.name / f"{name}{_LABEL}"
        pairs.append(Pair(name=name, image=image, label=label))
    return pairs


if __name__ == "__main__":
    program.run(CityscapesConfig, build)
