"""Cityscapes, by training ids: https://www.cityscapes-dataset.com."""

from deeplab_tf.data.spec import Color, DatasetSpec

# Training id -> (id in the labelIds files, name, color).
LABELS: tuple[tuple[int, str, Color], ...] = (
    (7, "road", (128, 64, 128)),
    (8, "sidewalk", (244, 35, 232)),
    (11, "building", (70, 70, 70)),
    (12, "wall", (102, 102, 156)),
    (13, "fence", (190, 153, 153)),
    (17, "pole", (153, 153, 153)),
    (19, "traffic light", (250, 170, 30)),
    (20, "traffic sign", (220, 220, 0)),
    (21, "vegetation", (107, 142, 35)),
    (22, "terrain", (152, 251, 152)),
    (23, "sky", (70, 130, 180)),
    (24, "person", (220, 20, 60)),
    (25, "rider", (255, 0, 0)),
    (26, "car", (0, 0, 142)),
    (27, "truck", (0, 0, 70)),
    (28, "bus", (0, 60, 100)),
    (31, "train", (0, 80, 100)),
    (32, "motorcycle", (0, 0, 230)),
    (33, "bicycle", (119, 11, 32)),
)
# Of each training id; the benchmark has a mIoU over these, too. Void is no category.
CATEGORY = (
    *("flat", "flat"),
    *("construction", "construction", "construction"),
    *("object", "object", "object"),
    *("nature", "nature"),
    "sky",
    *("human", "human"),
    *("vehicle", "vehicle", "vehicle", "vehicle", "vehicle", "vehicle"),
)
CATEGORIES = tuple(dict.fromkeys(CATEGORY))
LAST_ID = 33  # In the labelIds files; the license plate, -1, is drawn in none.
SPEC = DatasetSpec(
    name="cityscapes",
    classes=tuple(name for _, name, _ in LABELS),
    palette=tuple(color for _, _, color in LABELS),
    split_sizes={
        "train_fine": 2975,
        "train_coarse": 22973,
        "trainval_fine": 3475,
        "trainval_coarse": 23473,
        "val_fine": 500,
        "test_fine": 1525,
    },
)


def training_ids() -> dict[int, int]:
    """Training id of each id of the labelIds files; 255 for what is not evaluated."""
    ignored = dict.fromkeys(range(LAST_ID + 1), SPEC.ignore_label)
    license_plate = dict.fromkeys((255, 65535), SPEC.ignore_label)  # -1, unsigned.
    return ignored | license_plate | {row[0]: i for i, row in enumerate(LABELS)}
