"""CamVid as SegNet prepared it: 11 classes, 480x360; the void class 11 is ignored."""

from deeplab_tf.data.spec import DatasetSpec

CLASSES = "Sky Building Pole Road Pavement Tree Sign Fence Car Pedestrian Bicyclist"
VOID = 11  # In SegNet's masks.
SPEC = DatasetSpec(
    name="camvid",
    classes=tuple(CLASSES.split()),
    palette=(
        (128, 128, 128),
        (128, 0, 0),
        (192, 192, 128),
        (128, 64, 128),
        (0, 0, 192),
        (128, 128, 0),
        (192, 128, 128),
        (64, 64, 128),
        (64, 0, 128),
        (64, 64, 0),
        (0, 128, 192),
    ),
    split_sizes={"train": 367, "val": 101, "test": 233},
)
