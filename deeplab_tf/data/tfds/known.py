"""What features and ids of data sets in tensorflow_datasets mean, where it is known."""

import dataclasses
from collections.abc import Mapping

from deeplab_tf.data.spec import Color
from deeplab_tf.data.specs import cityscapes


@dataclasses.dataclass(frozen=True, kw_only=True)
class Known:
    """A data set of tensorflow_datasets.

    Attributes:
        image: Feature of the images.
        label: Feature of the masks.
        classes: Name of each class id, from 0.
        palette: Color of each, or nothing for VOC's.
        changes: Id in the masks -> class id; 255 counts nowhere.
    """

    image: str
    label: str
    classes: tuple[str, ...]
    palette: tuple[Color, ...] = ()
    changes: Mapping[int, int]


KNOWN: Mapping[str, Known] = {
    # Its trimaps: 1 pet, 2 background, 3 what lies between and is not classified.
    "oxford_iiit_pet": Known(
        image="image",
        label="segmentation_mask",
        classes=("background", "pet"),
        changes={1: 1, 2: 0, 3: 255},
    ),
    "cityscapes": Known(
        image="image_left",
        label="segmentation_label",
        classes=cityscapes.SPEC.classes,
        palette=cityscapes.SPEC.palette,
        changes={i: new for i, new in cityscapes.training_ids().items() if i < 256},
    ),
}
