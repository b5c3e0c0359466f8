"""Writes PASCAL-Person-Part as records: people in six parts.

    python datasets/build_person_part_data.py --output_dir=records

with ./VOCdevkit/VOC2010 as it comes out of VOCtrainval_03-May-2010.tar, and in
./pascal-part the folder Annotations_Part of PASCAL-Part's trainval.tar.gz. Masks may
be PNG files of 0 to 6 and 255, too.
"""

import dataclasses
from pathlib import Path

from tqdm import tqdm

from deeplab_tf import cli, dataset_builders
from deeplab_tf.config.fields import flag
from deeplab_tf.data.specs import person_part
from deeplab_tf.dataset_builders import Files, archives, matlab, published
from deeplab_tf.dataset_builders.download import fetch, root

_ROOT = "./VOCdevkit/VOC2010"


@dataclasses.dataclass(frozen=True, kw_only=True)
class PersonPartConfig:
    """Writes PASCAL-Person-Part as records: train and val."""

    image_folder: str = flag("Images of VOC 2010.", f"{_ROOT}/JPEGImages")
    semantic_segmentation_folder: str = flag(
        "Masks: .mat files of PASCAL-Part, or PNG files.",
        "./pascal-part/Annotations_Part",
    )
    list_folder: str = flag(
        "Of train.txt and val.txt. Of .mat files those are taken that show parts of a "
        "person; of PNG files all must be there.",
        f"{_ROOT}/ImageSets/Main",
    )
    download: bool = flag("Fetch VOC 2010 and PASCAL-Part, where absent.", False)
    output_dir: str = flag("Where the records go.", "./tfrecord")
    work: dataset_builders.WorkConfig = dataset_builders.WorkConfig()


def build(config: PersonPartConfig) -> None:
    """Builds both splits.

    Raises:
        InputError: A folder or file is missing or damaged.
    """
    if config.download:
        _download(config)
    stems = published.train_and_val(Path(config.list_folder))
    splits = {split: _source(config, split, stems[split]) for split in stems}
    published.tell_counts(splits, person_part.SPEC)
    dataset_builders.build(
        splits, person_part.SPEC, config.output_dir, work=config.work
    )


def _source(config: PersonPartConfig, split: str, stems: list[str]) -> Files:
    masks = Path(config.semantic_segmentation_folder)
    pairs = published.voc_pairs(stems, [Path(config.image_folder)], [masks])
    if next(masks.glob("*.mat"), None) is None:
        return Files(pairs=pairs)
    people = matlab.Parts("person", person_part.ids())
    shown = [
        pair
        for pair in tqdm(pairs, f"people of {split}", disable=None)
        if pair.label and people.occur(pair.label)
    ]
    return Files(pairs=shown, read_mask=people)


def _download(config: PersonPartConfig) -> None:
    images, masks = "VOCdevkit/VOC2010/JPEGImages", config.semantic_segmentation_folder
    fetch(
        {
            archives.VOC_2010: root("image_folder", config.image_folder, images),
            archives.PASCAL_PART: root(
                "semantic_segmentation_folder", masks, "Annotations_Part"
            ),
        }
    )


if __name__ == "__main__":
    cli.run(PersonPartConfig, build, retired=published.RETIRED)
