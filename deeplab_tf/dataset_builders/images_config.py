"""Images of one's own: the settings of their builders."""

import dataclasses

from deeplab_tf.config.fields import flag, require_positive
from deeplab_tf.data.open_image import MAX_PIXELS


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImagesConfig:
    """Images that are damaged, or larger than wanted."""

    max_side: int | None = flag(
        "Shrink photographs, and their masks, to so many pixels on the longer side.",
        None,
    )
    max_pixels: int = flag("Refuse larger photographs.", MAX_PIXELS)
    skip_damaged: bool = flag(
        "Leave out files that cannot be read, and list them beside the records.", False
    )

    def __post_init__(self) -> None:
        require_positive(self, "max_side", "max_pixels")
