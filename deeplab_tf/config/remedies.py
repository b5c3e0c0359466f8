"""What to do about labels that break the contract, by who made them.

A table for each way to records: kind of `LabelError` -> the end of its line.
"""

from deeplab_tf.errors import Remedies

# Own images and masks, or records of an unknown builder.
FOLDER: Remedies = {
    "class_count": (
        "; or, where 0 means unlabeled, give --reduce_zero_label (build_folder_data.py)"
    ),
    "ids_beyond_classes": (
        " Map them to classes: --label_map={changes} (build_folder_data.py)"
    ),
    "counts_from_1": (
        ": give build_folder_data.py --reduce_zero_label, which makes 1 the class 0"
    ),
    "object_ignored": ": --label_map={first}:1 (build_folder_data.py)",
    "color_mask": (
        ", or tell what the colors mean by --color_table (build_folder_data.py)"
    ),
    "wide_ids": ", and --label_map brings them below 256 (build_folder_data.py)",
    "not_png": "; build the records with datasets/build_folder_data.py",
    "png_mode": "; build the records again with datasets/build_folder_data.py",
}

TFDS: Remedies = {
    "class_count": (
        "; or, where 0 means unlabeled, give --tfds_label_map=0:255,1:0,2:1,..."
    ),
    "ids_beyond_classes": " Map them to classes: --tfds_label_map={changes}",
    "counts_from_1": ": give --tfds_label_map=1:0,2:1,..., which makes 1 the class 0",
    "object_ignored": ": --tfds_label_map={first}:1",
    "color_mask": ", and prepare the data set again",
    "wide_ids": ", and --tfds_label_map brings them below 256",
    "not_png": "; build the records with datasets/build_tfds_data.py",
    "png_mode": "; build the records again with datasets/build_tfds_data.py",
}

# Masks that a builder knows: their ids are not for the user to map.
PUBLISHED: Remedies = {
    kind: "; take the masks as they were published"
    for kind in ("color_mask", "wide_ids")
} | {
    kind: " The masks as they were published hold no such ids: unpack them again"
    for kind in ("ids_beyond_classes", "counts_from_1")
}
