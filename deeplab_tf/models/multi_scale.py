"""Image pyramid: a network on its input at several scales, as in DeepLab v2."""

import keras
from keras import layers

from deeplab_tf.config import ModelConfig
from deeplab_tf.models.layers.resize import ResizeTo


def on_a_pyramid(
    network: keras.Model, config: ModelConfig, input_size: tuple[int | None, int | None]
) -> keras.Model:
    """The network on its input at several scales, the logits merged.

    Reference: Chen et al. 2016, section 4.1.2, https://arxiv.org/abs/1606.00915.
    """
    images = keras.Input((*input_size, 3), name="images")
    size = max(1.0, *config.image_pyramid) / config.logits_stride
    scores = []
    for scale, name in zip(config.image_pyramid, _names(config), strict=True):
        scaled = ResizeTo(scale, name=f"image.{name}")([images, images])
        logits = network(scaled)
        scores.append(ResizeTo(size, name=f"logits.{name}")([logits, images]))
    merge = layers.Maximum if config.merge_method == "max" else layers.Average
    merged = merge(name="merged_logits")(scores) if len(scores) > 1 else scores[0]
    return keras.Model(images, merged, name=f"{network.name}.pyramid")


def _names(config: ModelConfig) -> list[str]:
    """A name for each scale: the scale, and its number where one comes twice."""
    scales = config.image_pyramid
    return [
        f"{scale:g}" + (f"_{i}" if scale in scales[:i] else "")
        for i, scale in enumerate(scales)
    ]


def each_scale(model: keras.Model, config: ModelConfig) -> keras.Model:
    """The network with logits of each scale of an image pyramid beside the merged ones.

    All of them learn: Chen et al. 2016, section 4.1.2.
    """
    if len(config.image_pyramid) < 2:
        return model
    names = [f"logits.{name}" for name in _names(config)]
    outputs = [model.get_layer(name).output for name in names]
    return keras.Model(model.input, [*outputs, model.output], name=model.name)
