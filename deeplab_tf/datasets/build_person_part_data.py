"""Writes PASCAL-Person-Part as records: people in six parts.

    python datasets/build_person_part_data.py --output_dir=records

with ./VOCdevkit/VOC2010 as it comes out of VOCtrainval_03-May-2010.tar, and in
./pascal-part the folder Annotations_Part of PASCAL-Part's trainval.tar.gz. Masks may
be PNG files of 0 to 6 and 255, too.
"""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

from deeplab_tf import cli, console, download
from deeplab_tf.config.fields import flag
from deeplab_tf.data.specs import person_part
from deeplab_tf.dataset_builders import FileSource, Pair, archives, matlab, published


@dataclasses.dataclass(frozen=True, kw_only=True)
class PersonPartConfig(published.Voc2010Config):
    """Writes PASCAL-Person-Part as records: train and val."""

    topic: ClassVar = "Data set"
    semantic_segmentation_folder: str = flag(
        "Folder of the masks: .mat files of PASCAL-Part, or PNG files. Of .mat files "
        "those are taken that show parts of a person; of PNG files all of the lists "
        "must be there.",
        "./pascal-part/Annotations_Part",
    )


def build(config: PersonPartConfig) -> None:
    """Builds both splits.

    Raises:
        InputError: A folder or file is missing or damaged.
    """
    if config.download:
        download.fetch(config.archives(archives.PASCAL_PART))
    splits = {
        split: _source(config, split, pairs) for split, pairs in config.pairs().items()
    }
    spec = person_part.SPEC
    published.build(splits, spec, config.output_dir, parallel=config.parallel)


def _source(config: PersonPartConfig, split: str, pairs: Sequence[Pair]) -> FileSource:
    if not config.has_mat_files:
        return FileSource(pairs=pairs)
    people = matlab.PartReader("person", person_part.ids())
    shown = [
        pair
        for pair in console.bar(pairs, desc=f"people of {split}")
        if pair.label and people.has_parts(pair.label)
    ]
    return FileSource(pairs=shown, read_mask=people)


def main() -> None:
    """`deeplab-build-person-part`."""
    cli.run(PersonPartConfig, build, retired=published.RETIRED)


if __name__ == "__main__":
    main()
