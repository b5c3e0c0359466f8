"""DeepLab semantic segmentation on TensorFlow 2 and Keras 3."""

import os

__version__ = "0.1.0"

# Before anything loads them: TensorFlow tells of errors only, and takes a GPU's memory
# as it needs it, so that an evaluation fits beside a training; Keras runs on it.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
os.environ["KERAS_BACKEND"] = "tensorflow"
