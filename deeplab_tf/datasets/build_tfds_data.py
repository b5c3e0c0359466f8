"""Writes a prepared data set of tensorflow_datasets as records.

    python datasets/build_tfds_data.py --dataset=oxford_iiit_pet \\
        --splits="train=train[:80%],val=train[80%:],test" --output_dir=pet_records

It must have been prepared: nothing is downloaded. `train.py --dataset=tfds:...` reads
it without records, too; with them, photographs are upright, palette masks can be read,
and `dataset.json` tells how often each class occurs.
"""

import dataclasses
import re
from typing import ClassVar

from deeplab_tf import cli, dataset_builders
from deeplab_tf.config import TfdsConfig, remedies
from deeplab_tf.config.data import TFDS
from deeplab_tf.config.fields import POSITIVE, check_ranges, flag, require_given
from deeplab_tf.errors import FlagError


@dataclasses.dataclass(frozen=True, kw_only=True)
class BuildTfdsConfig:
    """Writes a prepared data set of tensorflow_datasets as records."""

    topic: ClassVar = "Data set"
    dataset: str | None = flag(
        "Name of the data set, as oxford_iiit_pet.", None, required=True
    )
    dataset_dir: str | None = flag(
        "Folder of prepared data sets (data_dir of tensorflow_datasets); by default "
        "its own.",
        None,
    )
    output_dir: str | None = flag("Where the records go.", None, required=True)
    name: str | None = flag(
        "Name of the data set in dataset.json; by default its own.", None
    )
    splits: tuple[str, ...] = flag(
        "Splits to write, as train=train[:80%],val=train[80%:],test; by default all.",
        (),
    )
    shards: int = flag("Files a split.", 4, within=POSITIVE)
    tfds: TfdsConfig = TfdsConfig()
    images: dataset_builders.ImagesConfig = dataset_builders.ImagesConfig()
    parallel: dataset_builders.ParallelConfig = dataset_builders.ParallelConfig()

    def __post_init__(self) -> None:
        require_given(self)
        check_ranges(self)
        _ = self.wanted  # Raises where a split cannot be named.

    @property
    def wanted(self) -> dict[str, str]:
        """Name in the records -> split, as tensorflow_datasets spells it."""
        wanted: dict[str, str] = {}
        for item in self.splits:
            name, _, split = item.partition("=")
            if not re.fullmatch(r"\w+", name) or name in wanted:
                raise FlagError(
                    f"--splits={item}: NAME=SPLIT is needed, as val=train[80%:], each "
                    "name once"
                )
            wanted[name] = split or name
        return wanted


def build(config: BuildTfdsConfig) -> None:
    """Builds the splits that are asked for.

    Raises:
        InputError: It is not prepared, or breaks the label contract.
    """
    from deeplab_tf.data.tfds.builder import open_prepared
    from deeplab_tf.data.tfds.records import open_split
    from deeplab_tf.dataset_builders.tfds_source import TfdsSource

    plain = str(config.dataset).removeprefix(TFDS)
    data = open_prepared(plain, config.dataset_dir, config.tfds)
    wanted = config.wanted or {split: split for split in data.spec.split_sizes}
    splits = {
        name: TfdsSource(
            records=open_split(data, split), max_pixels=config.images.max_pixels
        )
        for name, split in wanted.items()
    }
    name = config.name or re.split("[/:]", plain)[0]
    spec = dataclasses.replace(data.spec, name=name)
    dataset_builders.build(
        splits,
        spec,
        str(config.output_dir),
        shards=config.shards,
        parallel=config.parallel,
        remedies=remedies.TFDS,
        images=config.images,
    )


def main() -> None:
    """`deeplab-build-tfds`."""
    cli.run(BuildTfdsConfig, build)


if __name__ == "__main__":
    main()
