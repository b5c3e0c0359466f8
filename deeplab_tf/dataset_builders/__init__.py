"""Makes records: of files, of annotations, of what others have prepared.

What all `datasets/build_*.py` share. TensorFlow is loaded by `tfds_samples` alone: it
would cost each process three seconds of its start and 450 MB.
"""

from deeplab_tf.dataset_builders.build import build
from deeplab_tf.dataset_builders.sources import (
    Files,
    MaskReader,
    Pair,
    Sample,
    Source,
    divided,
    pairs_by_list,
    pairs_by_stem,
    read_list,
)
from deeplab_tf.dataset_builders.work import WorkConfig

__all__ = [
    "Files",
    "MaskReader",
    "Pair",
    "Sample",
    "Source",
    "WorkConfig",
    "build",
    "divided",
    "pairs_by_list",
    "pairs_by_stem",
    "read_list",
]
