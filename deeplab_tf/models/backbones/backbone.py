"""Backbone: what a feature extractor is."""

import dataclasses
from collections.abc import Callable

from deeplab_tf.config import ModelConfig
from deeplab_tf.models.layers.blocks import Features, Style, Tensor

RGB = tuple[float, float, float]
MEAN_RGB = (123.15, 115.90, 103.06)  # Of ImageNet, as the official ResNets take it.
CAFFE_MEAN = (122.679, 116.669, 104.007)  # Of ImageNet, as nets trained by Caffe do.
GRAY = (127.5, 127.5, 127.5)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Backbone:
    """A feature extractor with the facts of its family.

    Attributes:
        features: (images `[N, H, W, 3]` normalized, settings, style) -> "c2", "c3",
            "c4": what a decoder at stride 4, 8, 16 takes; "c5": the features at the
            output stride. Others are a family's own, as "pool3" of VGG.
        style: Of its layers.
        multiple: Sides of images, less one, should be one of it; by default of the
            output stride.
        mean: Images enter as `x - mean`; without one, as `x / 127.5 - 1`.
        is_boundable: `use_bounded_activation` is for it, not for the head alone.
        has_paths: Its cells have paths that training may drop.
        mean_pixel: What surrounds an image smaller than the crop, RGB in 0...255.
        only_for: The one architecture whose features these are, if so.
    """

    features: Callable[[Tensor, ModelConfig, Style], Features]
    style: Style
    multiple: int | None = None
    mean: RGB | None = None
    is_boundable: bool = False
    has_paths: bool = False
    mean_pixel: RGB = GRAY
    only_for: str = ""
