"""Settings of what chance does to a training image."""

import dataclasses

from deeplab_tf.config.fields import flag, not_negative, positive
from deeplab_tf.errors import FlagError


@dataclasses.dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """What chance does to a training image."""

    train_crop_size: tuple[int, int] = flag(
        "Height,width of the crops; multiples of the output stride plus one.",
        (513, 513),
    )
    min_scale_factor: float = flag("Smallest random scale.", 0.5)
    max_scale_factor: float = flag("Greatest random scale.", 2.0)
    scale_factor_step_size: float = flag("Step between them; 0 for any scale.", 0.25)
    rotation_degrees: float = flag(
        "Rotate by up to so much either way; mean colour and ignore label come in.", 0.0
    )
    blur_sigma: float = flag("Blur by a Gaussian of up to so many pixels.", 0.0)
    brightness_jitter: float = flag(
        "Make brighter or darker by up to so much of white, as 0.2.", 0.0
    )
    contrast_jitter: float = flag(
        "Change contrast by a factor of 1 plus or minus up to so much.", 0.0
    )
    saturation_jitter: float = flag("The same of the saturation of colours.", 0.0)
    hue_jitter: float = flag(
        "Turn the circle of hues by up to so much of it, as 0.05.", 0.0
    )

    def __post_init__(self) -> None:
        positive(self, "train_crop_size", "min_scale_factor")
        not_negative(self, "scale_factor_step_size", "rotation_degrees", "blur_sigma")
        if self.max_scale_factor < self.min_scale_factor:
            raise FlagError(
                f"--max_scale_factor={self.max_scale_factor} is below "
                f"--min_scale_factor={self.min_scale_factor}"
            )
        self._within("brightness_jitter", 1)
        self._within("contrast_jitter", 1)
        self._within("saturation_jitter", 1)
        self._within("hue_jitter", 0.5)
        self._within("rotation_degrees", 180)

    def _within(self, name: str, most: float) -> None:
        value = getattr(self, name)
        if not 0 <= value <= most:
            raise FlagError(f"--{name}={value}: between 0, for none, and {most}")
