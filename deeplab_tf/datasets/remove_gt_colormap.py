"""Writes palette masks again as gray ones, whose values are the class ids.

    python datasets/remove_gt_colormap.py --original_gt_folder=SegmentationClass \
      --output_dir=SegmentationClassRaw

The builders read palettes themselves; this is for other programs.
"""

import dataclasses
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from absl import logging

from deeplab_tf import cli, console
from deeplab_tf.config.fields import flag
from deeplab_tf.data import image_files
from deeplab_tf.data.image_folders import match_files
from deeplab_tf.errors import InputError
from deeplab_tf.files import check_writable, write_whole

_ROOT = "./VOCdevkit/VOC2012"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ColormapConfig:
    """Writes palette masks again as gray ones, whose values are the class ids."""

    topic: ClassVar = "Masks"
    original_gt_folder: str = flag(
        "Folder of the palette masks.", f"{_ROOT}/SegmentationClass"
    )
    segmentation_format: Literal["png"] = flag("Suffix of the masks.", "png")
    output_dir: str = flag("Folder of the gray masks.", f"{_ROOT}/SegmentationClassRaw")


def convert(config: ColormapConfig) -> None:
    """Writes each mask of a folder, under its name.

    Raises:
        InputError: No masks, or one that is in colors, damaged, or of ids above 255.
    """
    source = Path(config.original_gt_folder)
    masks = list(match_files(source, f"*.{config.segmentation_format}").values())
    if not masks:
        raise InputError(
            f"--original_gt_folder={source}: no masks *.{config.segmentation_format}"
        )
    target = check_writable("output_dir", config.output_dir)
    if target.resolve() == source.resolve():
        raise InputError(
            f"--output_dir={target}: the palette masks lie there; another folder is "
            "needed"
        )
    target.mkdir(parents=True, exist_ok=True)
    for path in console.bar(masks, desc="masks"):
        write_whole(target / path.name, _gray(path))
    logging.info("%s: %d masks", target, len(masks))


def _gray(path: Path) -> bytes:
    ids = image_files.read_mask(path)
    if ids.max() > 255:
        raise InputError(f"{path}: id {ids.max()}; a gray mask holds 0 to 255")
    return image_files.png(ids.astype(np.uint8))


def main() -> None:
    """`python -m deeplab_tf.datasets.remove_gt_colormap`."""
    cli.run(ColormapConfig, convert)


if __name__ == "__main__":
    main()
