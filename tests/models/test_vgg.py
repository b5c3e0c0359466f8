"""VGG-16's trunks: Caffe's sizes, and the receptive fields of their pools."""

import keras
import numpy as np
import pytest

from deeplab_tf.models.backbones import vgg
from deeplab_tf.models.heads import HEADS

LARGE_FOV = HEADS["deeplab_v1_largefov"].vgg_form.pools


def caffe_pool(n, kernel, stride, pad):
    """Length of a pooled line: rounded up, but no window beyond the image."""
    length = -(-(n + 2 * pad - kernel) // stride) + 1
    if pad and (length - 1) * stride >= n + pad:
        length -= 1
    return length


@pytest.mark.parametrize(
    ("architecture", "kernel", "stride", "pad"),
    [("fcn8s", 2, 2, 0), ("deeplab_v1_largefov", 3, 2, 1), ("deeplab_v1", 2, 2, 1)],
)
def test_pools_are_as_long_as_those_of_caffe(architecture, kernel, stride, pad):
    pool = HEADS[architecture].vgg_form.pools[0]
    for n in range(2, 40):
        pooled = vgg._max_pool(np.zeros((1, n, n, 1)), pool, name="pool")
        assert pooled.shape[1] == caffe_pool(n, kernel, stride, pad), n


@pytest.mark.parametrize("index", [3, 4])
def test_the_last_pools_of_deeplab_keep_the_size(index):
    pooled = vgg._max_pool(np.zeros((1, 41, 41, 1)), LARGE_FOV[index], name="pool")
    assert pooled.shape[1] == 41


def test_a_pool_takes_the_greatest_of_its_window(rng):
    x = rng.uniform(size=(1, 5, 5, 1)).astype(np.float32)
    pooled = vgg._max_pool(x, LARGE_FOV[0], name="pool")[0, ..., 0]
    image = np.pad(x[0, ..., 0], 1)
    for row in range(3):
        for column in range(3):
            window = image[2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
            assert pooled[row, column] == window.max()


def test_a_dense_pool_takes_the_greatest_of_four_pixels_a_rate_apart(rng):
    x = rng.uniform(size=(1, 6, 7, 2)).astype(np.float32)
    images = keras.Input((6, 7, 2))
    pool = keras.Model(images, vgg._dense_pool(images, 2, name="pool"))
    around = np.pad(x, ((0, 0), (0, 2), (0, 2), (0, 0)))
    expected = np.max(
        [around[:, r : r + 6, c : c + 7] for r in (0, 2) for c in (0, 2)], axis=0
    )
    np.testing.assert_array_equal(pool(x), expected)
