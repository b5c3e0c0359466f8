"""Counts of a split and of its trimaps, by hand."""

import dataclasses

import numpy as np
import pytest

from deeplab_tf.data.specs import shapes
from deeplab_tf.errors import InputError
from deeplab_tf.evaluation.confusion import Confusion
from deeplab_tf.prediction.predictions import Prediction

SPEC = dataclasses.replace(
    shapes.SPEC, classes=("ground", "ball"), palette=shapes.SPEC.palette[:2]
)


def predicted(label):
    label = np.array(label)
    image = np.zeros((*label.shape, 3), np.uint8)
    return Prediction(name="photo", image=image, classes=label, label=label)


def test_trimaps_hold_the_pixels_near_a_boundary():
    confusion = Confusion(SPEC, (1, 2))
    prediction = predicted([[0, 0, 0, 255, 1, 1, 1]])
    confusion.add(prediction, np.array([[1, 0, 0, 0, 0, 1, 1]]))
    confusion.add(prediction, np.array([[0, 0, 0, 1, 1, 1, 1]]))
    assert confusion.num_images == 2
    assert confusion.matrix.tolist() == [[5, 1], [1, 5]]
    assert confusion.trimaps[1].tolist() == [[2, 0], [1, 1]]
    assert confusion.trimaps[2].tolist() == [[4, 0], [1, 3]]


def test_a_label_of_other_classes_names_its_image():
    with pytest.raises(InputError, match=r"label of photo: ids \[2\] are no classes"):
        Confusion(SPEC).add(predicted([[0, 2]]), np.array([[0, 0]]))
