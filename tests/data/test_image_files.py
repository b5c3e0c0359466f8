"""Images and masks as files."""

import io

import cv2
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from deeplab_tf.data import image_files, tfrecord
from deeplab_tf.errors import InputError

NOISE = np.random.default_rng(1).integers(0, 256, (30, 40, 3)).astype(np.uint8)


@pytest.fixture
def photo(rng):
    smooth = rng.uniform(0, 255, (5, 7, 3)).astype(np.uint8)
    return np.asarray(
        Image.fromarray(smooth).resize((61, 43), Image.Resampling.BICUBIC)
    )


def save(array, path, **options):
    Image.fromarray(array).save(path, **options)
    return path


def test_jpeg_pixels_are_the_same_in_a_record_and_as_a_file(photo, tmp_path):
    path = save(photo, tmp_path / "a.jpg", quality=80)
    encoded, name, size = image_files.encode_image(path)
    assert (encoded, name, size) == (path.read_bytes(), "jpeg", (43, 61))
    decoded = tfrecord.decode_image(tf.constant(encoded))
    np.testing.assert_array_equal(decoded, image_files.read_image(path))


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK", "I;16"])
def test_images_of_any_kind_become_what_the_eye_sees(photo, tmp_path, mode):
    if mode == "I;16":
        gray = np.asarray(Image.fromarray(photo).convert("L")).astype(np.uint16)
        image, suffix = Image.fromarray(gray * 257), "png"
    else:
        image, suffix = Image.fromarray(photo).convert(mode), "png"
        if mode == "CMYK":
            suffix = "jpg"
    path = tmp_path / f"a.{suffix}"
    image.save(path)
    encoded, _, _ = image_files.encode_image(path)
    decoded = tfrecord.decode_image(tf.constant(encoded)).numpy()
    np.testing.assert_array_equal(decoded, image_files.read_image(path))
    assert decoded.shape == (43, 61, 3)
    if mode in ("L", "I;16"):
        gray = np.asarray(Image.fromarray(photo).convert("L"))
        np.testing.assert_array_equal(decoded, np.stack([gray] * 3, axis=-1))


def test_a_photograph_is_turned_as_its_exif_says(photo, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # Turn by 90 degrees clockwise to see it upright.
    path = save(photo, tmp_path / "a.png", exif=exif)
    upright = np.rot90(photo, k=-1)
    np.testing.assert_array_equal(image_files.read_image(path), upright)
    encoded, name, size = image_files.encode_image(path)
    assert (name, size) == ("png", (61, 43))
    decoded = tfrecord.decode_image(tf.constant(encoded))
    np.testing.assert_array_equal(decoded, upright)


@pytest.mark.parametrize("mode", ["gray", "palette", "16 bits", "4 bits"])
def test_masks_are_read_as_ids_whatever_the_png(tmp_path, mode):
    ids = np.array([[0, 1, 2], [15, 3, 0]], np.uint8)
    path = tmp_path / "a.png"
    if mode == "palette":
        path.write_bytes(image_files.png(ids, ((9, 9, 9), (200, 0, 0), (0, 99, 0))))
    elif mode == "4 bits":
        image = Image.fromarray(ids * 17)
        stream = io.BytesIO()
        image.save(stream, "PNG", bits=4)
        path.write_bytes(stream.getvalue())
        assert path.read_bytes()[24] in (4, 8)
        if path.read_bytes()[24] == 8:
            pytest.skip("this Pillow does not write gray PNGs of 4 bits")
    else:
        Image.fromarray(ids.astype(np.uint16) if "16" in mode else ids).save(path)
    np.testing.assert_array_equal(image_files.read_mask(path), ids)


def test_palette_pngs_hold_the_ignore_label_in_all_bits():
    ids = np.array([[0, 1, 255]], np.uint8)
    encoded = image_files.png(ids, ((0, 0, 0), (200, 0, 0)))
    read = Image.open(io.BytesIO(encoded))
    np.testing.assert_array_equal(np.asarray(read), ids)
    colors = np.asarray(read.convert("RGB"))[0].tolist()
    assert colors == [[0, 0, 0], [200, 0, 0], list(image_files.IGNORED)]


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("a.jpg", lambda p: save(np.zeros((4, 4), np.uint8), p), "a JPEG mask"),
        ("a.png", lambda p: save(np.zeros((4, 4, 3), np.uint8), p), r"colors \(RGB\)"),
        (
            "a.png",
            lambda p: save(np.zeros((4, 4, 4), np.uint8), p),
            r"colors \(RGBA\)",
        ),
        ("a.png", lambda p: p.write_text("no image"), "not an image"),
        ("a.png", lambda p: p.write_bytes(b""), "an empty file"),
        ("a.png", lambda p: save(NOISE, p), "a photograph, where a mask should be"),
        ("a.jpg", lambda p: save(NOISE, p), "are images and masks swapped"),
        (
            "a.png",
            lambda p: save(NOISE[..., 0].copy(), p),
            "a photograph, where a mask should be",
        ),
        (
            "a.png",
            lambda p: save(np.zeros((4, 4, 2), np.uint8), p),
            r"colors \(LA\)",
        ),
        (
            "a.tiff",
            lambda p: save(np.full((4, 4), -1, np.int32), p),
            "ids from -1 to -1; 0 to 65535 are possible",
        ),
        (
            "a.tiff",
            lambda p: save(np.ones((4, 4), np.float32), p),
            "a mask of fractions; one class id a pixel is needed",
        ),
        ("a.png", lambda p: None, "no such file"),
    ],
)
def test_a_file_that_is_no_mask_says_what_would_be(tmp_path, name, make, message):
    make(tmp_path / name)
    with pytest.raises(InputError, match=message) as error:
        image_files.read_mask(tmp_path / name)
    assert str(tmp_path / name) in str(error.value)


def test_an_opaque_alpha_channel_of_a_grey_mask_says_nothing(tmp_path):
    ids = np.array([[0, 1, 2], [15, 3, 0]], np.uint8)
    path = save(np.stack([ids, np.full_like(ids, 255)], axis=-1), tmp_path / "a.png")
    np.testing.assert_array_equal(image_files.read_mask(path), ids)


@pytest.mark.parametrize("how", [0, 1, 9])
def test_what_exif_does_not_turn_keeps_its_bytes(photo, tmp_path, how):
    exif = Image.Exif()
    exif[0x0112] = how
    path = save(photo, tmp_path / "a.jpg", exif=exif)
    assert image_files.encode_image(path)[:2] == (path.read_bytes(), "jpeg")
    mask = save(np.ones((4, 5), np.uint8), tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(image_files.read_mask(mask), np.ones((4, 5)))


def test_a_mask_that_exif_turns_is_refused(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = save(np.zeros((4, 5), np.uint8), tmp_path / "a.png", exif=exif)
    with pytest.raises(InputError, match=r"a\.png: a mask that its EXIF data turn"):
        image_files.read_mask(path)


def test_16_bits_are_scaled_to_8(tmp_path):
    path = save(np.array([[0, 256, 257, 32896, 65535]], np.uint16), tmp_path / "a.png")
    found = image_files.read_image(path)
    np.testing.assert_array_equal(found[0, :, 0], [0, 0, 1, 128, 255])
    encoded, name, _ = image_files.encode_image(path)
    assert (name, encoded[24]) == ("png", 8)


def test_a_color_png_of_16_bits_becomes_one_of_8(tmp_path):
    path = tmp_path / "a.png"
    values = np.array([[[0, 257 * 9, 65535]] * 3] * 2, np.uint16)
    cv2.imwrite(str(path), values[..., ::-1])
    assert path.read_bytes()[24] == 16
    encoded, _, _ = image_files.encode_image(path)
    assert encoded[24] == 8
    decoded = tfrecord.decode_image(tf.constant(encoded)).numpy()
    np.testing.assert_array_equal(decoded, [[[0, 9, 255]] * 3] * 2)


def test_transparency_changes_no_color(photo, tmp_path):
    path = save(photo, tmp_path / "a.png", transparency=tuple(photo[0, 0].tolist()))
    decoded = tfrecord.decode_image(tf.constant(image_files.encode_image(path)[0]))
    np.testing.assert_array_equal(decoded, photo)


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.full((4, 4), 0.5, np.float32), "an image of fractions; save it with 8 or"),
        (np.full((4, 4), 70_000, np.int32), "an image of values from 70000 to 70000"),
    ],
)
def test_an_image_whose_white_is_unknown_is_refused(tmp_path, pixels, message):
    path = save(pixels, tmp_path / "a.tiff")
    for read in (image_files.read_image, image_files.encode_image):
        with pytest.raises(InputError, match=message):
            read(path)


def test_a_truncated_image_is_named(photo, tmp_path):
    path = save(photo, tmp_path / "a.jpg")
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(InputError, match=r"a\.jpg: a damaged image"):
        image_files.encode_image(path)
