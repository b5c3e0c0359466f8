"""Every setting of the commands: frozen records, from which `flags` makes the flags.

A field with help is a flag of its name. Records nest, flags are flat. Names, types and
defaults are those of research/deeplab; what differs says so in its help.
"""

from deeplab_tf.config.batch import PredictConfig
from deeplab_tf.config.data import (
    CompatibilityConfig,
    DataConfig,
    ResizeConfig,
    TfdsConfig,
)
from deeplab_tf.config.export import ExportConfig
from deeplab_tf.config.model import ModelConfig
from deeplab_tf.config.optimizer_and_loss import LossConfig, OptimizerConfig
from deeplab_tf.config.predict import (
    CrfConfig,
    EvalConfig,
    InferenceConfig,
    TileConfig,
)
from deeplab_tf.config.train import (
    AugmentConfig,
    DevicesConfig,
    TrainConfig,
    WatchConfig,
)
from deeplab_tf.config.vis import VideoConfig, VisConfig
from deeplab_tf.config.web import WebConfig

__all__ = [
    "AugmentConfig",
    "CompatibilityConfig",
    "CrfConfig",
    "DataConfig",
    "DevicesConfig",
    "EvalConfig",
    "ExportConfig",
    "InferenceConfig",
    "LossConfig",
    "ModelConfig",
    "OptimizerConfig",
    "PredictConfig",
    "ResizeConfig",
    "TfdsConfig",
    "TileConfig",
    "TrainConfig",
    "VideoConfig",
    "VisConfig",
    "WatchConfig",
    "WebConfig",
]
