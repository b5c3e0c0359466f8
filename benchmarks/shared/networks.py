"""The networks that benchmarks of a CPU measure: DeepLab by size, then others."""

from collections.abc import Iterable
from typing import Any

from deeplab_tf.config import ModelConfig
from deeplab_tf.errors import FlagError, one_of

_CONTEXT: dict[str, Any] = {"atrous_rates": (6, 12, 18), "decoder_output_stride": (4,)}
NETWORKS = {
    "mobilenet_v2": ModelConfig(),
    "mobilenet_v2_decoder": ModelConfig(**_CONTEXT),
    "resnet_50_beta": ModelConfig(model_variant="resnet_v1_50_beta", **_CONTEXT),
    "resnet_101_beta": ModelConfig(model_variant="resnet_v1_101_beta", **_CONTEXT),
    "xception_65": ModelConfig(model_variant="xception_65", **_CONTEXT),
    "pspnet": ModelConfig(architecture="pspnet"),
    "fcn8s": ModelConfig(architecture="fcn8s"),
    "deeplab_v2_aspp": ModelConfig(architecture="deeplab_v2_aspp"),
    "unet": ModelConfig(architecture="unet"),
    "segnet": ModelConfig(architecture="segnet"),
}
# What a training step of research/deeplab takes, units and GB, at batch 4 and crop 321:
# TensorFlow 1's graph on two cores with AVX512 and oneDNN. It cannot be run any more.
OFFICIAL = {
    "mobilenet_v2": (9.15, 1.49),
    "mobilenet_v2_decoder": (15.9, 1.91),
    "resnet_50_beta": (77.0, 3.19),
    "xception_65": (99.3, 4.75),
}
DEFAULT = tuple(OFFICIAL)  # Without asking for others.


def check_names(names: Iterable[str]) -> None:
    """Raises a FlagError of `--networks` for a name that is none of `NETWORKS`."""
    for name in names:
        if name not in NETWORKS:
            raise FlagError(f"--networks={name}: {one_of(name, NETWORKS)}")
