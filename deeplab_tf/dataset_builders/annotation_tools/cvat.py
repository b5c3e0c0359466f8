"""CVAT, "Segmentation mask 1.1": a tree as VOC's, in the colors of `labelmap.txt`."""

from deeplab_tf.dataset_builders import color_table
from deeplab_tf.dataset_builders.annotation_tools import voc
from deeplab_tf.dataset_builders.annotation_tools.export import (
    Export,
    ExportFolder,
    Options,
)

_COLORS = "labelmap.txt"


def is_export(folder: ExportFolder) -> bool:
    """Whether there are masks and a table of their colors."""
    return voc.is_tree(folder) and bool(folder.named(_COLORS))


def read(folder: ExportFolder, options: Options) -> Export:
    """Reads a tree whose masks hold the colors of a table.

    Raises:
        InputError: A file is missing, or the table is none.
    """
    table = color_table.read_color_table(folder.named(_COLORS)[0], options.ignore_label)
    table = table.reorder(options.class_names or table.classes)
    return Export(
        classes=table.classes,
        splits=voc.read_splits(folder, table),
        palette=table.palette,
    )
