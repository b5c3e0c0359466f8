"""Settings of data: what is read, and mistakes that are kept for old numbers."""

import dataclasses
from collections.abc import Collection
from typing import ClassVar, Literal

from deeplab_tf.config.effects import where
from deeplab_tf.config.fields import POSITIVE, check_ranges, flag, require_given, text
from deeplab_tf.errors import FlagError

TFDS = "tfds:"  # Begins the names of data sets of tensorflow_datasets.
ValidateLabels = Literal["off", "sample", "full"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResizeConfig:
    """Bringing images into a range of sizes before anything else."""

    topic: ClassVar = "Sizes of images"
    rules: ClassVar = (where("min_resize_value", "resize_factor", "keep_aspect_ratio"),)
    min_resize_value: int | None = flag(
        "Resize images before anything else, to this size of the smaller side.",
        None,
        within=POSITIVE,
        common=True,
    )
    max_resize_value: int | None = flag(
        "With --min_resize_value: greatest size of the larger side.",
        None,
        within=POSITIVE,
        common=True,
    )
    resize_factor: int | None = flag(
        "With --min_resize_value: sizes become a multiple of this number plus one.",
        None,
        within=POSITIVE,
    )
    keep_aspect_ratio: bool = flag(
        "With --min_resize_value: keep the shape of images, or make both sides equal.",
        True,
    )

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.min_resize_value is None and self.max_resize_value is not None:
            raise FlagError(
                f"--max_resize_value={self.max_resize_value} needs --min_resize_value; "
                "give both the same number to fit the larger side"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompatibilityConfig:
    """What is done as research/deeplab does it, though it is wrong."""

    topic: ClassVar = "Compatibility"
    official_bugs: bool = flag(
        "Numbers and names as research/deeplab has them where they are wrong: softmax "
        "twice with several scales, no keep_aspect_ratio, files called b'...'.",
        False,
    )

    def resize(self, config: ResizeConfig) -> ResizeConfig:
        """The range of sizes that takes effect."""
        if not self.official_bugs:
            return config
        return dataclasses.replace(config, keep_aspect_ratio=True)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Where the records lie and what they mean."""

    topic: ClassVar = "Data"
    dataset: str | None = flag(
        "Data set by name, or tfds:NAME of tensorflow_datasets; by default the "
        "dataset.json of --dataset_dir, or of the run.",
        None,
        official="pascal_voc_seg",
        common=True,
    )
    dataset_dir: str | None = flag(
        "Folder of the TFRecord shards, or data_dir of tensorflow_datasets.",
        None,
        required=True,
    )
    classes_renamed: bool = flag(
        "The classes are those of the run, id by id, under other names.", False
    )

    @property
    def tfds(self) -> str | None:
        """Name in tensorflow_datasets; None for records."""
        name = self.dataset or ""
        return name.removeprefix(TFDS) if name.startswith(TFDS) else None

    def check(self, for_tfds: Collection[str]) -> None:
        """Raises where there is no folder to read, or a setting that it has no use for.

        Args:
            for_tfds: Settings of `TfdsConfig` that were given.
        """
        if self.tfds:
            return
        require_given(self)
        self.check_tfds(for_tfds)

    def check_tfds(self, for_tfds: Collection[str]) -> None:
        """Raises where a setting of `TfdsConfig` is of another data set than there."""
        if for_tfds and not self.tfds:
            raise FlagError(
                f"--{next(iter(for_tfds))} is for --dataset={TFDS}NAME; of records, "
                "dataset.json tells it"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class TfdsConfig:
    """What is what in a data set of tensorflow_datasets."""

    topic: ClassVar = "Data sets of tensorflow_datasets"
    class_names: tuple[str, ...] = flag(
        "Names of the classes of a tfds: data set from id 0, if it has none.", ()
    )
    tfds_image_feature: str | None = flag(
        "Feature that holds the images, where there are several.", None
    )
    tfds_label_feature: str | None = flag(
        "Feature that holds the masks, where there are several.", None
    )
    tfds_label_map: tuple[str, ...] = flag(
        "Ids of the masks to change, as 1:0,2:1,3:255.", ()
    )

    def __post_init__(self) -> None:
        _ = self.changes  # Raises where it cannot be understood.

    @property
    def given(self) -> tuple[str, ...]:
        """Settings that are not the default ones."""
        fields = dataclasses.fields(self)
        return tuple(f.name for f in fields if getattr(self, f.name) != f.default)

    @property
    def changes(self) -> dict[int, int]:
        """Id in the masks -> class id, of what was given."""
        new_ids: dict[int, int] = {}
        for item in self.tfds_label_map:
            old, new = _change(item)
            if old in new_ids:
                raise FlagError(
                    f"--tfds_label_map={text(self.tfds_label_map)}: old id {old} twice"
                    "; give it once"
                )
            new_ids[old] = new
        return new_ids


def _change(item: str) -> tuple[int, int]:
    old, _, new = item.partition(":")
    numbers = old.isdecimal() and new.isdecimal()
    if not numbers or int(old) > 65535 or int(new) > 255:
        raise FlagError(
            f"--tfds_label_map={item}: as 1:0, an old id of 0 to 65535 and a new one "
            "of 0 to 255"
        )
    return int(old), int(new)
