"""Counts of each image: by hand, written, read, and refused."""

import dataclasses

import numpy as np
import pytest

from deeplab_tf.data.specs import shapes
from deeplab_tf.errors import InputError
from deeplab_tf.evaluation import image_counts
from deeplab_tf.evaluation.image_counts import ImageCounts

SPEC = dataclasses.replace(
    shapes.SPEC, classes=("ground", "ball", "box"), palette=shapes.SPEC.palette[:3]
)
MATRIX = np.array([[5, 1, 0], [0, 0, 0], [2, 0, 2]])


def counts(name="photo", matrix=MATRIX):
    return ImageCounts.of(name, (2, 5), matrix)


def test_pairs_that_occur_are_kept_and_give_the_matrix_back():
    image = counts()
    assert image.pairs.tolist() == [0, 1, 6, 8]
    assert image.pixels.tolist() == [5, 1, 2, 2]
    assert (image.pairs.dtype, image.pixels.dtype) == (np.int32, np.int64)
    np.testing.assert_array_equal(image.matrix(3), MATRIX)


def test_the_worst_class_is_one_of_the_truth():
    miou, worst, wrong = counts().scores(3)
    # Ball is predicted in vain: it counts in the mean, and is no class of the image.
    assert miou == pytest.approx((5 / 8 + 0 + 2 / 4) / 3)
    assert worst == 2
    assert wrong == pytest.approx(3 / 10)


def test_of_classes_that_are_missed_alike_the_larger_is_worst():
    missed = np.array([[9, 0, 0], [1, 0, 0], [3, 0, 0]])
    assert counts(matrix=missed).scores(3).worst_class == 2


def test_an_image_in_which_no_pixel_counts_has_no_scores():
    miou, worst, wrong = counts(matrix=np.zeros((3, 3), int)).scores(3)
    assert np.isnan(miou)
    assert worst is None
    assert np.isnan(wrong)


def test_what_is_written_is_read(tmp_path):
    images = [counts("a"), counts("b, ü", MATRIX * 0), counts("c", MATRIX.T)]
    path = tmp_path / image_counts.FILE
    image_counts.save(path, images, SPEC, checkpoint="run/model.ckpt-5")
    stored = image_counts.load(path)
    assert stored.classes == SPEC.classes
    assert (stored.ignore_label, stored.checkpoint) == (255, "run/model.ckpt-5")
    assert [each.name for each in stored.counts] == ["a", "b, ü", "c"]
    assert stored.counts[0].size == (2, 5)
    for read, image in zip(stored.counts, images, strict=True):
        np.testing.assert_array_equal(read.matrix(3), image.matrix(3))


def test_a_file_of_another_form_is_one_line(tmp_path):
    path = tmp_path / image_counts.FILE
    with pytest.raises(InputError, match=r"no such file; eval\.py writes it into --ev"):
        image_counts.load(path)
    path.write_bytes(b"no arrays")
    with pytest.raises(InputError, match="not the counts of an evaluation"):
        image_counts.load(path)
    np.savez(path, other=1)
    with pytest.raises(InputError, match=r"not the counts of an evaluation .*form"):
        image_counts.load(path)
    image_counts.save(path, [counts()], SPEC, checkpoint="")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="not the counts of an evaluation"):
        image_counts.load(path)
    two = dataclasses.replace(SPEC, classes=SPEC.classes[:2], palette=SPEC.palette[:2])
    image_counts.save(path, [counts()], two, checkpoint="")
    with pytest.raises(InputError, match="its counts do not fit its classes"):
        image_counts.load(path)
