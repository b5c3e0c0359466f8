"""Images of one's own: the settings of their builders."""

import dataclasses
from typing import ClassVar

from deeplab_tf.config.fields import POSITIVE, check_ranges, flag
from deeplab_tf.data.open_image import MAX_PIXELS


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImagesConfig:
    """Images that are damaged, or larger than wanted."""

    topic: ClassVar = "Sizes and damages"
    max_side: int | None = flag(
        "Shrink photographs, and their masks, to so many pixels on the longer side.",
        None,
        within=POSITIVE,
    )
    max_pixels: int = flag(
        "Refuse photographs of more pixels.", MAX_PIXELS, within=POSITIVE
    )
    skip_damaged: bool = flag(
        "Leave out files that cannot be read, and list them beside the records.", False
    )

    def __post_init__(self) -> None:
        check_ranges(self)
