"""Dataset builders: what the scripts `datasets/build_*.py` are made of.

They write records of files, of annotations, of what others have prepared. TensorFlow is
loaded by `tfds_source` alone: it would cost each process three seconds of its start and
450 MB.
"""

from deeplab_tf.dataset_builders.annotations_config import AnnotationsConfig
from deeplab_tf.dataset_builders.build import build
from deeplab_tf.dataset_builders.images_config import ImagesConfig
from deeplab_tf.dataset_builders.pairing import pairs_by_stem
from deeplab_tf.dataset_builders.parallel_config import ParallelConfig
from deeplab_tf.dataset_builders.sources import (
    FileSource,
    MaskReader,
    Pair,
    Sample,
    SampleSource,
    read_list,
)

__all__ = [
    "AnnotationsConfig",
    "FileSource",
    "ImagesConfig",
    "MaskReader",
    "Pair",
    "ParallelConfig",
    "Sample",
    "SampleSource",
    "build",
    "pairs_by_stem",
    "read_list",
]
