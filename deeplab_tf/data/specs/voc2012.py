"""PASCAL VOC 2012: http://host.robots.ox.ac.uk/pascal/VOC/voc2012/."""

from deeplab_tf.data.spec import DatasetSpec, distinct_colors

CLASSES = (
    "background aeroplane bicycle bird boat bottle bus car cat chair cow diningtable "
    "dog horse motorbike person pottedplant sheep sofa train tvmonitor"
)
SPEC = DatasetSpec(
    name="pascal_voc_seg",
    classes=tuple(CLASSES.split()),
    palette=distinct_colors(21),
    split_sizes={
        "train": 1464,
        "train_aug": 10582,
        "trainval": 2913,
        "trainval_aug": 12031,
        "val": 1449,
        "test": 1456,
    },
)
