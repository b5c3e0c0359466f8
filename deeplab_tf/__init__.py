"""DeepLab semantic segmentation on TensorFlow 2 and Keras 3.

    net = deeplab_tf.load("run")
    net.predict("photo.jpg").save("mask.png")

Names of the Python API load TensorFlow and Keras when they are used first.
"""

import importlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deeplab_tf.api import (
        Network,
        build,
        list_architectures,
        list_backbones,
        load,
        train,
    )
    from deeplab_tf.errors import InputError
    from deeplab_tf.models.registration import register
    from deeplab_tf.prediction.predictor import Predictor
    from deeplab_tf.segmentation import Segmentation

__version__ = "0.2.0"

_HOMES = {
    "InputError": "errors",
    "Network": "api",
    "Predictor": "prediction.predictor",
    "Segmentation": "segmentation",
    "build": "api",
    "list_architectures": "api",
    "list_backbones": "api",
    "load": "api",
    "register": "models.registration",
    "train": "api",
}
__all__ = [
    "InputError",
    "Network",
    "Predictor",
    "Segmentation",
    "__version__",
    "build",
    "list_architectures",
    "list_backbones",
    "load",
    "register",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{_HOMES[name]}")
    value = globals()[name] = getattr(module, name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


if "keras" in sys.modules:  # Files of networks can be read at once.
    importlib.import_module(f"{__name__}.models.registration").register()
