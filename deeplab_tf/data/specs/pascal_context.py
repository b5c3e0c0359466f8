"""PASCAL-Context: https://cs.stanford.edu/~roozbeh/pascal-context, on VOC 2010.

Networks are trained on 60 classes with the background, and scored on either 60 or 59.
The order is that of 59_labels.txt; other projects sort the names.
"""

from collections.abc import Mapping

from deeplab_tf.data.spec import DatasetSpec, distinct_colors
from deeplab_tf.data.specs import voc2012

CLASSES = """
bag bed bench book building cabinet ceiling clothes computer cup door fence floor flower
food grass ground keyboard light mountain mouse curtain platform sign plate road rock
shelves sidewalk sky snow bedcloth track tree truck wall water window wood
"""
# What labels.txt, of all 459 labels, calls otherwise.
OTHER_NAMES: Mapping[str, str] = {
    "diningtable": "table",
    "bedcloth": "bedclothes",
    "clothes": "cloth",
}
NUM_LABELS = 459
SPEC = DatasetSpec(
    name="pascal_context",
    classes=(*voc2012.SPEC.classes, *CLASSES.split()),
    palette=distinct_colors(60),
    split_sizes={"train": 4998, "val": 5105},
)
SPEC_59 = DatasetSpec(
    name="pascal_context_59",
    classes=SPEC.classes[1:],
    palette=SPEC.palette[1:],
    split_sizes=SPEC.split_sizes,
)
