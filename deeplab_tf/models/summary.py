"""Model summary: parameters, multiply-adds, receptive field; no weight takes memory."""

import dataclasses
import math
from typing import Any

import keras
from keras import layers

from deeplab_tf.config import ModelConfig
from deeplab_tf.models.build import build
from deeplab_tf.models.heads.dilation import GroupedUpscore
from deeplab_tf.models.layers.resize import ResizeTo
from deeplab_tf.models.receptive_field import receptive_field

_CONVOLUTIONS = (layers.Conv2D, layers.DepthwiseConv2D, layers.SeparableConv2D)
_TRANSPOSED = (layers.Conv2DTranspose, GroupedUpscore)
_STATISTICS = ("moving_mean", "moving_variance")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Summary:
    """A network in numbers.

    Attributes:
        architecture: Its name.
        model_variant: Its feature extractor.
        num_classes: Channels of its scores.
        parameters: All weights and biases, scale and offset of batch norm, fixed ones,
            too; not the statistics that batch norm gathers.
        learnable_parameters: Those of them that training changes.
        output_stride: Input size over that of the features, or of the finest scores
            where it fuses scores finer than the features.
        receptive_field: Pixels along a side of what a score sees, image pooling apart.
        multiply_adds: Of convolutions, for one image.
    """

    architecture: str
    model_variant: str
    num_classes: int
    parameters: int
    learnable_parameters: int
    output_stride: int
    receptive_field: int
    multiply_adds: int


def summarize(
    config: ModelConfig, num_classes: int, input_size: tuple[int, int]
) -> Summary:
    """The numbers of a network; clears the Keras session, as it leaves no weights.

    Args:
        config: The network; with an image pyramid, the sum of the multiply-adds at each
            scale, and the field of the smallest.
        num_classes: Channels of the logits.
        input_size: Height and width of the image.

    Raises:
        FlagError: The network cannot be had.
    """
    single = dataclasses.replace(config, image_pyramid=())
    scales = config.image_pyramid or (1.0,)
    with keras.StatelessScope(initialize_variables=False):
        networks = [
            build(single, num_classes, input_size=_scale_sides(input_size, scale))
            for scale in scales
        ]
        first = networks[0]
        summary = Summary(
            architecture=config.head,
            model_variant=config.model_variant,
            num_classes=num_classes,
            parameters=parameters(first),
            learnable_parameters=_numbers(first.trainable_weights),
            output_stride=config.facts.score_stride or config.output_stride,
            receptive_field=round((receptive_field(first) - 1) / min(scales)) + 1,
            multiply_adds=sum(map(multiply_adds, networks)),
        )
    # Or the next scope would give the weights their values after all.
    keras.backend.clear_session()
    return summary


def _scale_sides(size: tuple[int, int], scale: float) -> tuple[int, int]:
    shape = (1, *size, 3)
    _, height, width, _ = ResizeTo(scale).compute_output_shape([shape, shape])
    return height, width


def parameters(model: keras.Model) -> int:
    """All weights and biases, without the statistics of batch norm."""
    return _numbers([w for w in model.weights if w.name not in _STATISTICS])


def multiply_adds(model: keras.Model) -> int:
    """Products that the convolutions add up, for one image of the model's input size.

    Resizing, pooling and sums are not counted, as usual in the papers.
    """
    return sum(map(_multiply_adds, model.operations))


def _multiply_adds(layer: Any) -> int:
    """Each weight counts at each position of the output; transposed, of the input."""
    if isinstance(layer, _CONVOLUTIONS):
        positions = layer.output.shape[1:-1]
    elif isinstance(layer, _TRANSPOSED):
        positions = layer.input.shape[1:-1]
    else:
        return 0
    kernels = [weight for weight in layer.weights if weight.name != "bias"]
    return math.prod(positions) * _numbers(kernels)


def _numbers(weights: list[Any]) -> int:
    return sum(math.prod(weight.shape) for weight in weights)
