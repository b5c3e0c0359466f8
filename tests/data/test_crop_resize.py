"""A window of a resized image is what a resize of the whole would have shown there."""

import numpy as np
import pytest
import tensorflow as tf

from deeplab_tf import resize
from deeplab_tf.data import crop_resize, decode
from deeplab_tf.data.crop_resize import Window

MEAN = (10.0, 20.0, 30.0)


def pair(rng, size):
    image = rng.integers(0, 256, (*size, 3)).astype(np.uint8)
    label = rng.integers(0, 200, (*size, 1)).astype(np.uint8)
    return tf.constant(image), tf.constant(label)


def shown(image, label, sizes, start, size, flip):
    """The window, framed."""
    window, sizes = Window(start, size), list(sizes)
    found = crop_resize.resample(
        lambda part: (decode.crop(image, part), decode.crop(label, part)),
        sizes,
        crop_resize.clip_window(window, sizes[-1]),
        flip=flip,
    )
    margins = crop_resize.margins_around(window, sizes[-1], flip)
    return crop_resize.add_margins(*found, margins, mean_pixel=MEAN, ignore_label=255)


compiled = tf.function(
    shown,
    input_signature=[
        tf.TensorSpec((None, None, 3), tf.uint8),
        tf.TensorSpec((None, None, 1), tf.uint8),
        [tf.TensorSpec((2,), tf.int32)] * 2,
        tf.TensorSpec((2,), tf.int32),
        tf.TensorSpec((2,), tf.int32),
        tf.TensorSpec((), tf.bool),
    ],
)


def plain(image, label, sizes, start, size, flip):
    """The whole resized, framed widely, cut and mirrored."""
    for wanted in sizes[1:]:
        image = resize.bilinear(tf.cast(image, tf.float32)[tf.newaxis], wanted)[0]
        label = resize.nearest(label[tf.newaxis], wanted)[0]
    image, label = image.numpy(), label.numpy()
    height, width = np.array(sizes[-1]) + 2 * np.array(size) + 100
    framed = np.tile(np.float32(MEAN), (height, width, 1))
    ids = np.full((height, width, 1), 255, np.uint8)
    top, left = np.array(size) + 50
    inside = np.s_[top : top + image.shape[0], left : left + image.shape[1]]
    framed[inside], ids[inside] = image, label
    cut = np.s_[top + start[0] :, left + start[1] :]
    framed, ids = (x[cut][: size[0], : size[1]] for x in (framed, ids))
    return (framed[:, ::-1], ids[:, ::-1]) if flip else (framed, ids)


def chosen(rng):
    """Size, size after a resize, and a window: also beyond the edges, also all."""
    before = rng.integers(1, 50, 2)
    factor = rng.choice([0.5, 0.75, 1.0, 1.25, 1.5, 2.0, rng.uniform(0.3, 3)])
    after = np.maximum((before * factor).astype(int), 1)
    start = rng.integers(-6, after)
    size = np.maximum(rng.integers(1, 60, 2), 1 - start)
    return before, after, start, size


def assert_shown(found, expected):
    np.testing.assert_allclose(found[0], expected[0], atol=1e-3)
    np.testing.assert_array_equal(found[1], expected[1])


@pytest.mark.parametrize("part", range(4))
def test_windows_show_what_whole_images_show(rng, part):
    """As TensorFlow's own resize has it: labels exactly, pixels to 0.001 of 255."""
    rng = np.random.default_rng(part)
    for _ in range(100):
        before, after, start, size = (np.int32(each) for each in chosen(rng))
        flip = bool(rng.integers(2))
        image, label = pair(rng, before)
        args = image, label, [before, after], start, size, flip
        assert_shown(compiled(*args), plain(*args))


@pytest.mark.parametrize("between", [(1, 1), (9, 30), (40, 15)])
def test_windows_pass_through_a_size_between(rng, between):
    """Eagerly, too."""
    for _ in range(12):
        before, after, start, size = (np.int32(each) for each in chosen(rng))
        flip = bool(rng.integers(2))
        image, label = pair(rng, before)
        args = image, label, [before, np.int32(between), after], start, size
        found = shown(*args, tf.constant(flip))
        assert_shown(found, plain(*args, flip))


def test_large_images_keep_their_coordinates(rng):
    """Beyond 2048 pixels float32 has few digits left for what is between two."""
    for after in (4096, 3001, 1500):
        image, label = pair(rng, (2, 2048))
        start, size = np.int32([0, after - 400]), np.int32([2, 400])
        args = image, label, [np.int32([2, 2048]), np.int32([2, after])], start, size
        assert_shown(compiled(*args, False), plain(*args, False))


def test_an_image_that_keeps_its_size_is_not_touched(rng):
    image, label = pair(rng, (7, 9))
    size = np.int32([7, 9])
    found = compiled(
        image, label, [size, size], np.int32([2, 3]), np.int32([4, 5]), False
    )
    np.testing.assert_array_equal(found[0], image[2:6, 3:8])
    np.testing.assert_array_equal(found[1], label[2:6, 3:8])


def test_windows_by_hand():
    """Corners stay; labels half way between two pixels take the farther one."""
    image = tf.constant(np.uint8([[[0] * 3, [10] * 3, [20] * 3]]))
    label = tf.constant(np.uint8([[[0], [1], [2]]]))
    sizes = [np.int32([1, 3]), np.int32([1, 5])]
    size = np.int32([1, 4])
    found = compiled(image, label, sizes, np.int32([0, 1]), size, False)
    assert found[0][0, :, 0].numpy().tolist() == [5, 10, 15, 20]
    assert found[1][0, :, 0].numpy().tolist() == [1, 1, 2, 2]
    found = compiled(image, label, sizes, np.int32([0, 1]), size, True)
    assert found[1][0, :, 0].numpy().tolist() == [2, 2, 1, 1]


def test_what_is_beside_an_image_is_mirrored_with_it():
    image = tf.constant(np.uint8([[[7] * 3]]))
    label = tf.constant(np.uint8([[[3]]]))
    one = np.int32([1, 1])
    start, size = np.int32([-1, -2]), np.int32([3, 4])
    found = compiled(image, label, [one, one], start, size, False)
    assert found[1][..., 0].numpy().tolist() == [
        [255, 255, 255, 255],
        [255, 255, 3, 255],
        [255, 255, 255, 255],
    ]
    assert found[0][1].numpy().tolist() == [[10, 20, 30]] * 2 + [[7] * 3, [10, 20, 30]]
    mirrored = compiled(image, label, [one, one], start, size, True)
    np.testing.assert_array_equal(mirrored[1], found[1][:, ::-1])
    np.testing.assert_array_equal(mirrored[0], found[0][:, ::-1])


def test_only_what_is_needed_is_read():
    """At half the size, a window of 3 x 2 comes from the 5 x 3 pixels under it."""
    asked = []

    def read(part):
        asked.append([each.numpy().tolist() for each in part])
        size = (*part.size.numpy(), 1)
        return tf.zeros((*size[:2], 3), tf.uint8), tf.zeros(size, tf.uint8)

    sizes = [tf.constant([21, 21]), tf.constant([11, 11])]
    window = Window(tf.constant([4, 2]), tf.constant([3, 2]))
    crop_resize.resample(read, sizes, window, flip=tf.constant(False))
    assert asked == [[[8, 4], [5, 3]]]
