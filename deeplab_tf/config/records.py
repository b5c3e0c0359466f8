"""Settings of what is read, and of mistakes that are kept for old numbers."""

import dataclasses
from typing import Literal

from deeplab_tf.errors import FlagError
from deeplab_tf.settings import flag, positive

ValidateLabels = Literal["off", "sample", "full"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResizeConfig:
    """Bringing images into a range of sizes before anything else."""

    min_resize_value: int | None = flag("Wanted size of the smaller side.", None)
    max_resize_value: int | None = flag("Greatest size of the larger side.", None)
    resize_factor: int | None = flag("Sizes become a multiple of it plus one.", None)
    keep_aspect_ratio: bool = flag("Keep the shape, or make both sides equal.", True)

    def __post_init__(self) -> None:
        positive(self, "min_resize_value", "max_resize_value", "resize_factor")
        if self.min_resize_value is None and self.max_resize_value is not None:
            raise FlagError(
                f"--max_resize_value={self.max_resize_value} needs --min_resize_value; "
                "give both the same number to fit the larger side"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompatibilityConfig:
    """What is done as research/deeplab does it, though it is wrong."""

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

    dataset: str | None = flag(
        "Data set by name; by default the dataset.json of dataset_dir, or of the run.",
        None,
        official="pascal_voc_seg",
    )
    dataset_dir: str | None = flag("Folder of the TFRecord shards.", None)
