"""Writes PASCAL-Context as records, with 59 classes and the background.

    python datasets/build_pascal_context_data.py --output_dir=records

with ./VOCdevkit/VOC2010 as it comes out of VOCtrainval_03-May-2010.tar, and in
./pascal-context the folder trainval of trainval.tar.gz and labels.txt. Masks may be
PNG files of 0 to 59, too. With --reduce_zero_label the classes count from 0, and the
background is ignored.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from deeplab_tf import cli, download
from deeplab_tf.config.fields import flag
from deeplab_tf.data.labels import contract
from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.data.specs import pascal_context
from deeplab_tf.dataset_builders import FileSource, Pair, archives, matlab, published
from deeplab_tf.dataset_builders.sources import read_list
from deeplab_tf.errors import InputError


@dataclasses.dataclass(frozen=True, kw_only=True)
class PascalContextConfig(published.Voc2010Config):
    """Writes PASCAL-Context as records: train and val."""

    topic: ClassVar = "Data set"
    semantic_segmentation_folder: str = flag(
        "Folder of the masks: .mat files of 459 labels, or PNG files of the 60.",
        "./pascal-context/trainval",
    )
    label_names: str = flag(
        "File of the names of the 459 labels; a 59_labels.txt beside it is compared.",
        "./pascal-context/labels.txt",
    )
    reduce_zero_label: bool = flag(
        "Write 59 classes from 0, and 255 for the rest (pascal_context_59); "
        "or else 60 with the background (pascal_context).",
        False,
    )


def build(config: PascalContextConfig) -> None:
    """Builds both splits.

    Raises:
        InputError: A folder or file is missing or damaged.
    """
    if config.download:
        names = {archives.PASCAL_CONTEXT_LABELS: Path(config.label_names).parent}
        download.fetch(config.archives(archives.PASCAL_CONTEXT) | names)
    spec = pascal_context.SPEC_59 if config.reduce_zero_label else pascal_context.SPEC
    splits = {
        split: _source(config, pairs, spec) for split, pairs in config.pairs().items()
    }
    published.build(splits, spec, config.output_dir, parallel=config.parallel)


def _source(
    config: PascalContextConfig, pairs: Sequence[Pair], spec: DatasetSpec
) -> FileSource:
    reduced = (
        published.reduce_zero_label_table(spec) if config.reduce_zero_label else None
    )
    if not config.has_mat_files:
        return FileSource(pairs=pairs, table=reduced)
    table = contract.id_table(_ids_by_label(Path(config.label_names)))
    if reduced is not None:
        table = reduced[table]
    return FileSource(pairs=pairs, read_mask=matlab.read_label_map, table=table)


def _ids_by_label(names_file: Path) -> dict[int, int]:
    """Id of each of the 459 labels, by name; the background for most of them."""
    numbers = _read_numbers(names_file)
    _check_order(names_file.with_name("59_labels.txt"))
    ids = dict.fromkeys(range(pascal_context.NUM_LABELS + 1), 0)
    for label, names in enumerate(_class_names(), start=1):
        numbered = [numbers[name] for name in names if name in numbers]
        if not numbered:
            raise InputError(f"{names_file}: no label {' or '.join(names)} in it")
        ids[numbered[0]] = label
    return ids


def _class_names() -> list[tuple[str, ...]]:
    """What each class is called, in either list, from class 1."""
    others = pascal_context.OTHER_NAMES
    return [
        (name, others[name]) if name in others else (name,)
        for name in pascal_context.SPEC.classes[1:]
    ]


def _check_order(names_file: Path) -> None:
    """Raises where 59_labels.txt, if it is there, has other ids."""
    numbers = _read_numbers(names_file) if names_file.exists() else {}
    for name, number in numbers.items():
        if not (1 <= number <= 59 and name in _class_names()[number - 1]):
            raise InputError(
                f"{names_file}: {number} is {name} there, but not in the published "
                "order of the classes; masks by another order mean something else"
            )


def _read_numbers(names_file: Path) -> dict[str, int]:
    """Number of each name in a file of lines as "23: bag"."""
    numbers = {}
    for line in read_list(names_file):
        number, colon, name = line.partition(":")
        if not colon or not number.strip().isdigit():
            raise InputError(f'{names_file}: a line "{line}", not as "23: bag"')
        numbers[name.replace(" ", "").lower()] = int(number)
    return numbers


def main() -> None:
    """`deeplab-build-pascal-context`."""
    cli.run(PascalContextConfig, build, retired=published.RETIRED)


if __name__ == "__main__":
    main()
