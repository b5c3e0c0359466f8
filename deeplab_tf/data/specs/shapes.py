"""The embedded data set: lit, textured solids (`datasets/build_shapes_data.py`)."""

from deeplab_tf.data.spec import DatasetSpec

SPEC = DatasetSpec(
    name="shapes",
    classes=("ground", "ball", "box", "ring", "cone", "star"),
    palette=(
        (70, 80, 90),
        (214, 39, 40),
        (31, 119, 180),
        (255, 187, 40),
        (44, 160, 44),
        (148, 103, 189),
    ),
    split_sizes={"train": 200, "val": 50},
)
