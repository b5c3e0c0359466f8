"""The networks that benchmarks of a CPU measure, from the smallest to the largest."""

from typing import Any

from deeplab_tf.config import ModelConfig

_CONTEXT: dict[str, Any] = {"atrous_rates": (6, 12, 18), "decoder_output_stride": (4,)}
NETWORKS = {
    "mobilenet_v2": ModelConfig(),
    "mobilenet_v2_decoder": ModelConfig(**_CONTEXT),
    "resnet_50_beta": ModelConfig(model_variant="resnet_v1_50_beta", **_CONTEXT),
    "xception_65": ModelConfig(model_variant="xception_65", **_CONTEXT),
}
