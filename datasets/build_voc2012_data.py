"""Writes PASCAL VOC 2012 as records, one set for each list of the devkit.

    python datasets/build_voc2012_data.py --output_dir=voc_records

with ./VOCdevkit/VOC2012 as it comes out of VOCtrainval_11-May-2012.tar. Palette masks
are read as class ids, so SegmentationClassRaw is not needed.
"""

import dataclasses
from pathlib import Path

from absl import logging

from deeplab_tf import program
from deeplab_tf.data import building
from deeplab_tf.data.building import Files
from deeplab_tf.data.specs import voc2012
from deeplab_tf.errors import InputError
from deeplab_tf.settings import flag

_RAW = "./VOCdevkit/VOC2012/SegmentationClassRaw"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Voc2012Config:
    """Writes PASCAL VOC 2012 as records: one split for each list."""

    image_folder: str = flag("Images.", "./VOCdevkit/VOC2012/JPEGImages")
    semantic_segmentation_folder: str = flag(
        "Masks; without the default one, SegmentationClass beside it.", _RAW
    )
    list_folder: str = flag(
        "Lists, one a split.", "./VOCdevkit/VOC2012/ImageSets/Segmentation"
    )
    output_dir: str = flag("Where the records go.", "./tfrecord")
    work: building.WorkConfig = building.WorkConfig()


def build(config: Voc2012Config) -> None:
    """Builds a split for each list in `list_folder`.

    Raises:
        InputError: A folder or file is missing or damaged.
    """
    lists = sorted(Path(config.list_folder).glob("*.txt"))
    if not lists:
        raise InputError(f"--list_folder={config.list_folder}: no lists (*.txt)")
    masks = _masks(Path(config.semantic_segmentation_folder))
    images = Path(config.image_folder)
    splits = {
        path.stem: Files(
            pairs=building.pairs_by_list(
                path, images, None if path.stem == "test" else masks
            )
        )
        for path in lists
    }
    building.build(splits, voc2012.SPEC, config.output_dir, work=config.work)


def _masks(folder: Path) -> Path:
    plain = folder.with_name("SegmentationClass")
    if not folder.is_dir() and folder.name == "SegmentationClassRaw" and plain.is_dir():
        logging.info("%s is not there; taking %s", folder, plain)
        return plain
    if not folder.is_dir():
        raise InputError(f"--semantic_segmentation_folder={folder}: no such folder")
    return folder


if __name__ == "__main__":
    program.run(Voc2012Config, build)
