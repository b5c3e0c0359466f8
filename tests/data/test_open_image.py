"""Image files are opened whole, of one page, and of bands that are colors."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from deeplab_tf.data import image_files, png_chunks
from deeplab_tf.data.open_image import open_image
from deeplab_tf.errors import DamagedFile, InputError

NOISE = np.random.default_rng(0).integers(0, 256, (40, 48, 4)).astype(np.uint8)
IDS = np.zeros((40, 48), np.uint8)
IDS[5:20, 5:25] = 1


def as_png(array, **options):
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "PNG", **options)
    return stream.getvalue()


def as_tiff(array, *, meaning, extra=(), number_kind=1):
    """An uncompressed TIFF of bands as they are in `[H, W, bands]`.

    Args:
        array: Its values.
        meaning: Photometric interpretation: 1 is gray, 2 red, green and blue.
        extra: What the bands behind the colors are: 0 unknown, 2 alpha.
        number_kind: 1 of integers without a sign, 2 with, 3 of floating point.
    """
    height, width, bands = array.shape
    pixels, each = array.tobytes(), array.itemsize * 8
    kinds = struct.unpack("<I", struct.pack("<2H", *(*extra, 0, 0)[:2]))[0]
    entries = [
        *((256, 4, 1, width), (257, 4, 1, height)),
        (258, 3, bands, 8 + len(pixels) if bands > 2 else each * 0x10001),
        *((259, 3, 1, 1), (262, 3, 1, meaning), (273, 4, 1, 8)),
        *((277, 3, 1, bands), (278, 4, 1, height), (279, 4, 1, len(pixels))),
        *((284, 3, 1, 1), (338, 3, len(extra), kinds), (339, 3, 1, number_kind)),
    ]
    table = [struct.pack("<HHII", *entry) for entry in entries if entry[2]]
    body = pixels + struct.pack("<H", each) * bands
    head = b"II*\0" + struct.pack("<I", 8 + len(body))
    return head + body + struct.pack("<H", len(table)) + b"".join(table) + bytes(4)


@pytest.fixture
def save(tmp_path):
    """Writes bytes as a file; gives its path."""

    def save(data, name="a.png"):
        (tmp_path / name).write_bytes(data)
        return tmp_path / name

    return save


# Damage


def chunks(png):
    """Name, first byte and end of each chunk."""
    position = 8
    while position < len(png):
        (length,) = struct.unpack_from(">I", png, position)
        yield (
            png[position + 4 : position + 8].decode(),
            position,
            position + 12 + length,
        )
        position += 12 + length


def test_a_flipped_bit_of_any_chunk_is_named_by_it():
    png = as_png(IDS, dpi=(96, 96))
    assert png_chunks.describe_damage(png) == ""
    for name, begin, end in chunks(png):
        for position in (*range(begin + 8, end - 4)[:3], end - 1):
            damaged = bytearray(png)
            damaged[position] ^= 4
            said = f"the chunk {name} has a wrong checksum"
            assert png_chunks.describe_damage(bytes(damaged)) == said


def test_a_png_that_ends_early_is_damaged_wherever_that_is():
    png = as_png(IDS)
    for length in range(8, len(png)):
        assert png_chunks.describe_damage(png[:length]).startswith("it ends ")
    assert png_chunks.describe_damage(png + b"what a camera adds") == ""


@pytest.mark.parametrize("read", [image_files.encode_image, image_files.read_mask])
def test_flipped_bits_of_masks_and_photographs_are_refused(save, read):
    """Some of them give other classes, which nothing else would show."""
    png, silent = as_png(IDS), 0
    (begin, end) = next(place[1:] for place in chunks(png) if place[0] == "IDAT")
    for position in range(begin + 8, end):
        damaged = bytearray(png)
        damaged[position] ^= 16
        with pytest.raises(DamagedFile, match=r"a\.png: a damaged image \(the chunk"):
            read(save(bytes(damaged)))
        try:
            silent += Image.open(io.BytesIO(bytes(damaged))).size == (48, 40)
        except OSError:
            continue
    assert silent  # Pillow alone takes these.


def test_a_palette_with_a_wrong_checksum_is_refused(save):
    png = bytearray(image_files.png(IDS, ((0, 0, 0), (200, 0, 0))))
    png[png.index(b"PLTE") + 6] ^= 1
    with pytest.raises(DamagedFile, match="the chunk PLTE has a wrong checksum"):
        image_files.read_mask(save(bytes(png)))


@pytest.mark.parametrize("kind", ["JPEG", "BMP", "TIFF", "WEBP"])
def test_files_of_other_kinds_that_end_early_are_damaged(save, kind):
    stream = io.BytesIO()
    Image.fromarray(NOISE[..., :3]).save(stream, kind)
    with pytest.raises(DamagedFile, match=r"a\.png: (a damaged image|not an image)"):
        open_image(save(stream.getvalue()[:1500]))


def test_a_link_to_nothing_says_where_it_leads(tmp_path):
    (tmp_path / "a.jpg").symlink_to("store/a.jpg")
    said = r"a\.jpg: a link to store/a\.jpg, which is not there"
    with pytest.raises(DamagedFile, match=said):
        open_image(tmp_path / "a.jpg")


# Pages


def two_pages(kind):
    stream = io.BytesIO()
    first, second = (Image.fromarray(ids * 255) for ids in (IDS, 1 - IDS))
    first.save(stream, kind, save_all=True, append_images=[second])
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "GIF", "WEBP"])
@pytest.mark.parametrize("read", [image_files.encode_image, image_files.read_mask])
def test_pages_behind_the_first_are_not_left_out_silently(save, kind, read):
    said = r"a\.png: 2 pages or frames, of which one alone would be read; save each"
    with pytest.raises(InputError, match=said):
        read(save(two_pages(kind)))


def test_a_preview_inside_a_tiff_is_no_page(save):
    stream = io.BytesIO()
    preview = Image.fromarray(IDS[::4, ::4])
    preview.encoderinfo = {"tiffinfo": {254: 1}}
    Image.fromarray(IDS).save(stream, "TIFF", save_all=True, append_images=[preview])
    assert Image.open(stream).n_frames == 2
    np.testing.assert_array_equal(image_files.read_mask(save(stream.getvalue())), IDS)


def test_more_pictures_that_a_camera_put_inside_are_told(save):
    """As phones and drones do, beside the photograph itself."""
    stream, told = io.BytesIO(), []
    photo = Image.fromarray(NOISE[..., :3])
    photo.save(stream, "MPO", save_all=True, append_images=[photo.resize((12, 10))])
    encoded = image_files.encode_image(save(stream.getvalue()), tell=told.append)
    assert encoded[2] == (40, 48)
    assert told == ["more pictures inside, of which the first is taken"]


# Bands


@pytest.mark.parametrize(
    ("bands", "meaning", "extra", "message"),
    [
        (4, 1, (), "4 bands of 8 bits; a photograph has 3, or one of gray"),
        (4, 1, (0,), "4 bands of 8 bits; a photograph has 3, or one of gray"),
        (4, 2, (0,), "4 bands of 8 bits; .* gdal_translate -b 1 -b 2 -b 3"),
        (4, 2, (), "4 bands of 8 bits; a photograph has 3"),
        (2, 1, (0,), "2 bands of 8 bits; a photograph has 3"),
    ],
)
def test_a_band_that_is_no_color_is_never_dropped(save, bands, meaning, extra, message):
    path = save(as_tiff(NOISE[..., :bands], meaning=meaning, extra=extra), "a.tif")
    for read in (image_files.read_image, image_files.encode_image):
        with pytest.raises(InputError, match=rf"a\.tif: {message}"):
            read(path)


@pytest.mark.parametrize(
    ("array", "number_kind", "message"),
    [
        (np.ones((4, 5, 3), np.float32), 3, "3 bands of 32 bits of floating point; 8"),
        (np.ones((4, 5, 3), np.int16), 2, "3 bands of 16 bits with a sign; 8 or 16"),
        (np.ones((4, 5, 3), np.uint32), 1, "3 bands of 32 bits; 8 or 16 bits without"),
        (np.ones((4, 5, 8), np.uint16), 1, "8 bands of 16 bits; a photograph has 3"),
    ],
)
def test_a_tiff_that_is_not_read_says_what_is_in_it(save, array, number_kind, message):
    path = save(as_tiff(array, meaning=2, number_kind=number_kind), "a.tif")
    with pytest.raises(InputError, match=rf"a\.tif: {message}"):
        open_image(path)


def test_a_tiff_of_colors_is_read(save):
    path = save(as_tiff(NOISE[..., :3], meaning=2), "a.tif")
    np.testing.assert_array_equal(image_files.read_image(path), NOISE[..., :3])


def test_alpha_that_looks_like_a_photograph_may_be_near_infrared(save):
    said = r"a\.png: the last of its 4 bands is as varied as a photograph: near infra"
    for data in (as_png(NOISE), as_tiff(NOISE, meaning=2, extra=(2,))):
        with pytest.raises(InputError, match=said):
            image_files.encode_image(save(data))


def test_transparent_pixels_are_told_and_opaque_ones_not(save):
    pixels, told = NOISE.copy(), []
    pixels[..., 3] = 255
    image_files.encode_image(save(as_png(pixels)), tell=told.append)
    assert told == []
    pixels[:10, :, 3] = 0
    image_files.encode_image(save(as_png(pixels)), tell=told.append)
    assert told == ["transparent pixels, taken as if they were opaque"]
    np.testing.assert_array_equal(
        image_files.read_image(save(as_png(pixels))), pixels[..., :3]
    )


# Size


def test_a_huge_image_is_told_by_its_size_and_may_be_allowed(save):
    path = save(as_png(IDS))
    said = r"a\.png: 48x40 pixels: more than 1919; cut it into tiles, or .*pixels=1920"
    for read in (image_files.encode_image, image_files.read_mask):
        with pytest.raises(InputError, match=said):
            read(path, max_pixels=1919)
        read(path, max_pixels=1920)


def test_only_the_header_of_a_huge_image_is_read(save):
    header = struct.pack(">IIBBBBB", 300_000, 300_000, 8, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n"
    for kind, data in (
        (b"IHDR", header),
        (b"IDAT", zlib.compress(b"")),
        (b"IEND", b""),
    ):
        png += struct.pack(">I", len(data)) + kind + data
        png += struct.pack(">I", zlib.crc32(kind + data))
    before = Image.MAX_IMAGE_PIXELS
    with pytest.raises(InputError, match="300000x300000 pixels: more than 178956970"):
        image_files.read_mask(save(png))
    assert before == Image.MAX_IMAGE_PIXELS
