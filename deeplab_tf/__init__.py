"""DeepLab semantic segmentation on TensorFlow 2 and Keras 3."""

import os

__version__ = "0.1.0"

# Before anything loads them: TensorFlow tells of errors only, and Keras runs on it.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["KERAS_BACKEND"] = "tensorflow"
