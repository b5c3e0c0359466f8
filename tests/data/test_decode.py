"""A part of a record's pixels is that part of the whole."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from deeplab_tf.data import decode, image_files, tfrecord
from deeplab_tf.data.crop_resize import Window
from tests.data import pngs


def jpeg(image, subsampling):
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=90, subsampling=subsampling)
    return stream.getvalue()


def noise(rng, size):
    """Edges that a JPEG's shared colors bleed over."""
    return rng.integers(0, 256, (*size, 3)).astype(np.uint8)


def sample(image, label=b""):
    return {"image": tf.constant(image), "label": tf.constant(label)}


window = tf.function(
    lambda image, label, start, size: decode.decode_window(
        {"image": image, "label": label}, Window(start, size)
    ),
    input_signature=[tf.TensorSpec((), tf.string)] * 2
    + [tf.TensorSpec((2,), tf.int32)] * 2,
)


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("size", [(1, 1), (3, 40), (61, 47)])
def test_sizes_are_read_from_the_first_bytes(rng, size, subsampling):
    image = noise(rng, size)
    for encoded in (jpeg(image, subsampling), image_files.png(image)):
        assert tuple(decode.image_size(encoded).numpy()) == size


@pytest.mark.parametrize("subsampling", [0, 1, 2, None])
def test_windows_are_parts_of_the_whole_bit_for_bit(rng, subsampling):
    for _ in range(40):
        size = rng.integers(1, 60, 2)
        image = noise(rng, size)
        ids = rng.integers(0, 9, (*size, 1)).astype(np.uint8)
        png = subsampling is None
        encoded = image_files.png(image) if png else jpeg(image, subsampling)
        label = image_files.png(ids[..., 0])
        start = rng.integers(0, size)
        length = rng.integers(1, size - start + 1)
        found = window(encoded, label, start.astype(np.int32), length.astype(np.int32))
        there = np.s_[start[0] : start[0] + length[0], start[1] : start[1] + length[1]]
        whole = tfrecord.decode_image(tf.constant(encoded)).numpy()
        np.testing.assert_array_equal(found[0], whole[there])
        np.testing.assert_array_equal(found[1], ids[there])


def test_ids_of_an_image_without_a_label_are_0(rng):
    image = image_files.png(noise(rng, (3, 4)))
    ids = decode.decode_record(sample(image))[1]
    np.testing.assert_array_equal(ids, np.zeros((3, 4, 1)))


def test_a_label_of_another_size_is_an_error(rng):
    image = image_files.png(noise(rng, (3, 4)))
    label = image_files.png(np.zeros((4, 3), np.uint8))
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode.decode_record(sample(image, label))
    with pytest.raises(tf.errors.InvalidArgumentError):
        window(image, label, [0, 0], [2, 2])


IDS = np.array([[0, 1, 1], [1, 0, 1]], np.uint8)


@pytest.mark.parametrize(("what", "label"), pngs.misread(IDS).items())
def test_a_label_that_tensorflow_would_misread_is_never_decoded(rng, what, label):
    image = image_files.png(noise(rng, (2, 3)))
    with pytest.raises(tf.errors.InvalidArgumentError, match="a label that is no gray"):
        decode.decode_record(sample(image, label))
    with pytest.raises(tf.errors.InvalidArgumentError, match="a label that is no gray"):
        window(image, label, [0, 0], [2, 2])


@pytest.mark.parametrize(("what", "label"), pngs.unusual(IDS).items())
def test_a_gray_png_of_8_bits_is_read_whatever_else_it_says(rng, what, label):
    image = image_files.png(noise(rng, (2, 3)))
    ids = decode.decode_record(sample(image, label))[1]
    np.testing.assert_array_equal(ids[..., 0], IDS)


def test_a_label_of_a_few_bytes_is_an_error_that_can_be_read(rng):
    image = image_files.png(noise(rng, (2, 3)))
    for length in (1, 8, 24):
        with pytest.raises(tf.errors.InvalidArgumentError, match="a label that is no"):
            decode.decode_record(sample(image, pngs.gray(IDS, 8)[:length]))
