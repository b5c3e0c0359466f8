"""Counts of a split and of its trimaps, by hand."""

import dataclasses

import numpy as np
import pytest

from deeplab_tf.data.specs import shapes
from deeplab_tf.errors import InputError
from deeplab_tf.evaluation.confusion import Counts
from deeplab_tf.prediction.predictions import Predicted

SPEC = dataclasses.replace(
    shapes.SPEC, classes=("ground", "ball"), palette=shapes.SPEC.palette[:2]
)


def predicted(label):
    label = np.array(label)
    image = np.zeros((*label.shape, 3), np.uint8)
    return Predicted(name="photo", image=image, classes=label, label=label)


def test_bands_hold_the_pixels_near_a_boundary():
    counts = Counts(SPEC, (1, 2))
    found = predicted([[0, 0, 0, 255, 1, 1, 1]])
    counts.add(found, np.array([[1, 0, 0, 0, 0, 1, 1]]))
    counts.add(found, np.array([[0, 0, 0, 1, 1, 1, 1]]))
    assert counts.num_images == 2
    assert counts.confusion.tolist() == [[5, 1], [1, 5]]
    assert counts.bands[1].tolist() == [[2, 0], [1, 1]]
    assert counts.bands[2].tolist() == [[4, 0], [1, 3]]


def test_a_label_of_other_classes_names_its_image():
    with pytest.raises(InputError, match=r"label of photo: ids \[2\] are no classes"):
        Counts(SPEC).add(predicted([[0, 2]]), np.array([[0, 0]]))
