"""Writes ADE20K as records, with its 150 classes and 0 for what is none of them.

    python datasets/build_ade20k_data.py --output_dir=records

with ./ADE20K/ADEChallengeData2016 as it comes out of ADEChallengeData2016.zip. With
--reduce_zero_label the classes count from 0, and what is none of them is 255.
"""

import dataclasses
from pathlib import Path
from typing import ClassVar

from deeplab_tf import cli, dataset_builders, download
from deeplab_tf.config.fields import flag
from deeplab_tf.data.specs import ade20k
from deeplab_tf.dataset_builders import FileSource, archives, published

_ROOT = "./ADE20K/ADEChallengeData2016"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ade20kConfig:
    """Writes ADE20K as records: train and val."""

    topic: ClassVar = "Data set"
    train_image_folder: str = flag(
        "Folder of the images to train on.", f"{_ROOT}/images/training"
    )
    train_image_label_folder: str = flag(
        "Folder of the masks to train on.", f"{_ROOT}/annotations/training"
    )
    val_image_folder: str = flag(
        "Folder of the images to test on.", f"{_ROOT}/images/validation"
    )
    val_image_label_folder: str = flag(
        "Folder of the masks to test on.", f"{_ROOT}/annotations/validation"
    )
    reduce_zero_label: bool = flag(
        "Write 150 classes from 0, and 255 for the rest (ade20k_150); or else "
        "151 ids, of which 0 is ignored, as the official DeepLab has them (ade20k).",
        False,
    )
    download: bool = flag("Fetch ADEChallengeData2016.zip, where absent.", False)
    output_dir: str = flag("Where the records go.", "./ADE20K/tfrecord")
    parallel: dataset_builders.ParallelConfig = dataset_builders.ParallelConfig()


def build(config: Ade20kConfig) -> None:
    """Builds both splits.

    Raises:
        InputError: A folder or file is missing or damaged.
    """
    if config.download:
        layout = "ADEChallengeData2016/images/training"
        images = config.train_image_folder
        folder = archives.unpack_folder("train_image_folder", images, layout)
        download.fetch({archives.ADE20K: folder})
    folders = {
        "train": (config.train_image_folder, config.train_image_label_folder),
        "val": (config.val_image_folder, config.val_image_label_folder),
    }
    spec = ade20k.SPEC_150 if config.reduce_zero_label else ade20k.SPEC
    table = (
        published.reduce_zero_label_table(spec) if config.reduce_zero_label else None
    )
    splits = {
        split: FileSource(
            pairs=dataset_builders.pairs_by_stem(Path(images), Path(masks)), table=table
        )
        for split, (images, masks) in folders.items()
    }
    published.build(splits, spec, config.output_dir, parallel=config.parallel)


def main() -> None:
    """`deeplab-build-ade20k`."""
    cli.run(Ade20kConfig, build, retired=published.RETIRED)


if __name__ == "__main__":
    main()
