"""What a photograph is answered with, and what is refused in one line."""

import base64
import io
import json
import logging
import struct
import tempfile
import zlib

import numpy as np
import pytest
from PIL import Image

from tests.web.serving import CLASSES, Page, encode, halves

pytest.importorskip("starlette", reason="the extra [web] is not installed")


@pytest.fixture(scope="module")
def page():
    return Page()


def ids_of(answer):
    flat = np.frombuffer(zlib.decompress(base64.b64decode(answer["ids"])), np.uint8)
    return flat.reshape(answer["height"], answer["width"])


def test_the_answer_has_sizes_shares_and_the_mask(page):
    response = page.send(encode(halves(20, 30)), "red.png")
    answer = response.json()
    assert response.status_code == 200
    assert (answer["width"], answer["height"]) == (30, 20)
    assert [each["name"] for each in answer["classes"]] == list(CLASSES)
    assert [each["pixels"] for each in answer["classes"]] == [300, 300, 0]
    assert [each["share"] for each in answer["classes"]] == [0.5, 0.5, 0.0]
    assert answer["classes"][1]["color"] == "#c80000"
    assert answer["model"] == "colors"
    assert answer["photograph"] is None
    expected = np.repeat([[1] * 15 + [0] * 15], 20, axis=0)
    np.testing.assert_array_equal(ids_of(answer), expected)
    mask = Image.open(io.BytesIO(base64.b64decode(answer["mask"])))
    assert mask.mode == "P"
    assert mask.getpalette()[:9] == [0, 0, 0, 200, 0, 0, 0, 200, 0]
    np.testing.assert_array_equal(np.asarray(mask), expected)


def test_the_page_is_told_of_the_model_and_of_limits(page):
    facts = page.get("/model").json()
    assert [each["name"] for each in facts["classes"]] == list(CLASSES)
    assert facts["looks"] == ["scales", "flip", "crf"]
    assert facts["max_bytes"] == 32_000_000
    assert facts["dataset"] == "colors"


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "text/html"),
        ("/page.css", "text/css"),
        ("/page.js", "text/javascript"),
        ("/drawing.js", "text/javascript"),
        ("/icon.svg", "image/svg+xml"),
    ],
)
def test_the_page_comes_with_all_that_it_loads(page, path, kind):
    response = page.get(path)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith(kind)
    assert "http://" not in response.text.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in response.text


def test_larger_photographs_are_seen_smaller_and_answered_at_their_size():
    page = Page(max_side=40)
    answer = page.send(encode(halves(60, 100))).json()
    assert page.model.asked[0][0] == (24, 40, 3)
    assert (answer["seen_width"], answer["seen_height"]) == (40, 24)
    assert ids_of(answer).shape == (60, 100)
    assert answer["classes"][1]["share"] == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize(("trained", "side"), [(0, 1024), (500, 1024), (1100, 1100)])
def test_without_a_flag_the_training_tells_what_is_large(trained, side):
    page = Page()
    page.model.trained_side = trained
    answer = page.send(encode(halves(5, 1200))).json()
    assert (answer["width"], answer["seen_width"]) == (1200, side)


def test_scales_flip_and_crf_reach_the_network(page):
    answer = page.send(encode(halves()), scales="0.75,1", flip="true", crf="true")
    look = page.model.asked[-1][1]
    assert (look.scales, look.flip, look.crf) == ((0.75, 1.0), True, True)
    assert answer.json()["crf"] == "voc_v2_resnet101"
    assert page.send(encode(halves())).json()["crf"] is None


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"scales": "1,9"}, "scales: some of 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75 are "),
        ({"scales": "nan"}, "scales: some of 0.25, 0.5, "),
        ({"scales": "1,one"}, "scales: some of 0.25, 0.5, "),
        ({"scales": "1,1"}, "scales: some of 0.25, 0.5, "),
        ({"crf": "yes"}, "crf: true or false is needed"),
    ],
)
def test_other_looks_are_refused(page, fields, line):
    response = page.send(encode(halves()), **fields)
    assert response.status_code == 400
    assert response.json()["error"].startswith(line)


def test_exif_turns_the_photograph(page):
    exif = Image.Exif()
    exif[0x0112] = 6  # The top of the scene is at the right.
    answer = page.send(encode(halves(16, 32), "JPEG", exif=exif, quality=95)).json()
    assert (answer["width"], answer["height"]) == (16, 32)
    assert answer["photograph"] is None  # Browsers turn it, too.
    assert (ids_of(answer)[:12] == 1).all()
    assert (ids_of(answer)[20:] == 0).all()


def test_a_turned_png_comes_with_a_copy_that_is_upright(page):
    exif = Image.Exif()
    exif[0x0112] = 6
    answer = page.send(encode(halves(16, 32), "PNG", exif=exif)).json()
    copy = Image.open(io.BytesIO(base64.b64decode(answer["photograph"])))
    assert copy.format == "JPEG"
    assert copy.size == (16, 32)


def test_16_bits_are_read_as_in_records_and_come_with_a_copy(page):
    gray = np.full((9, 11), 65535, np.uint16)
    gray[:, 5:] = 257 * 100
    answer = page.send(encode(gray), "gray.png").json()
    copy = Image.open(io.BytesIO(base64.b64decode(answer["photograph"])))
    pixels = np.asarray(copy.convert("L")).astype(int)
    assert abs(pixels[:, 0] - 255).max() <= 3
    assert abs(pixels[:, -1] - 100).max() <= 3


def test_what_is_not_taken_is_told(page):
    pixels = np.dstack([halves(), np.full((20, 30), 100, np.uint8)])
    answer = page.send(encode(pixels), "see.png").json()
    assert answer["remarks"] == ["transparent pixels, taken as if they were opaque"]
    assert answer["photograph"] is not None


def header_of_png(width, height):
    """A PNG of that size that holds no pixels."""

    def chunk(kind, data):
        crc = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(b""))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


def header_of_jpeg(width, height):
    """A JPEG of that size with a scan that holds little."""
    data = bytearray(encode(halves(16, 16), "JPEG"))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(data)


JPEG = encode(halves(64, 64), "JPEG")
WRONG = {
    "empty": (b"", "photo.jpg", 400, "photo.jpg: an empty file"),
    "text": (
        b"Dear reader,\n" * 9,
        "photo.jpg",
        415,
        "photo.jpg: not a photograph; JPEG, PNG, WebP, TIFF, BMP and GIF are read",
    ),
    "truncated": (JPEG[:-99], "photo.jpg", 415, "photo.jpg: a damaged image ("),
    "a part of the header": (JPEG[:9], "photo.jpg", 415, "photo.jpg: a damaged image"),
    "truncated PNG": (
        encode(halves())[:-20],
        "photo.png",
        415,
        "photo.png: a damaged image (",
    ),
    "large PNG": (
        header_of_png(20000, 20000),
        "big.png",
        413,
        "big.png: 20000x20000 pixels are 400 megapixels, and at most 50 are taken; "
        "save it smaller",
    ),
    "large JPEG": (
        header_of_jpeg(20000, 20000),
        "big.jpg",
        413,
        "big.jpg: 20000x20000 pixels are 400 megapixels",
    ),
    "HEIC": (
        b"\0\0\0\x18ftypheic" + bytes(50),
        "IMG_1.HEIC",
        415,
        "IMG_1.HEIC: a HEIF or AVIF photograph; save it as JPEG",
    ),
    "PostScript": (
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        "a.eps",
        415,
        "a.eps: not a photograph; ",
    ),
    "a name with control characters": (
        b"",
        "../../etc/\x1b[31mpasswd",
        400,
        "\\x1b[31mpasswd: an empty file",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_used_is_told_in_one_line(page, case):
    data, name, status, line = WRONG[case]
    asked = len(page.model.asked)
    response = page.send(data, name)
    assert response.status_code == status
    assert response.json()["error"].startswith(line)
    assert "\n" not in response.json()["error"]
    assert len(page.model.asked) == asked
    assert page.send(encode(halves())).status_code == 200  # It is still there.


def test_other_bodies_are_refused(page):
    for request, status in [
        ({"content": b"abc", "headers": {"content-type": "image/png"}}, 415),
        ({"content": b"abc"}, 415),
        ({"files": {"image": b"abc"}}, 400),
        ({"files": [("photograph", b"abc"), ("photograph", b"abc")]}, 400),
        (
            {
                "content": b"abc",
                "headers": {"content-type": "multipart/form-data; boundary=x"},
            },
            400,
        ),
        (
            {"content": b"", "headers": {"content-type": "multipart/form-data"}},
            400,
        ),
    ]:
        response = page.ask("POST", "/segment", **request)
        assert response.status_code == status, request
        assert set(response.json()) == {"error"}


def test_other_addresses_are_told_in_json(page):
    assert page.get("/masks").status_code == 404
    assert page.get("/masks").json() == {"error": "not found"}
    assert page.get("/segment").status_code == 405


def test_a_file_of_too_many_bytes_is_refused_while_it_comes():
    page = Page(max_megabytes=0.01)
    assert page.send(b"x" * 5000).status_code == 415
    announced = page.send(b"x" * 20_000)
    assert announced.status_code == 413
    assert announced.json() == {"error": "a file of more than 0.01 MB; save it smaller"}

    async def body():
        head = b'content-disposition: form-data; name="photograph"; filename="a"'
        yield b"--x\r\n" + head + b"\r\n\r\n"
        for _ in range(100):
            yield b"y" * 1000

    kind = {"content-type": "multipart/form-data; boundary=x"}
    unannounced = page.ask("POST", "/segment", content=body(), headers=kind)
    assert unannounced.status_code == 413


def test_nothing_is_kept_on_the_disk(page, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a file is written")

    for name in (
        "TemporaryFile",
        "NamedTemporaryFile",
        "mkstemp",
        "_TemporaryFileCloser",
    ):
        monkeypatch.setattr(tempfile, name, refuse)
    noise = np.random.default_rng(0).integers(0, 256, (900, 900, 3)).astype(np.uint8)
    data = encode(noise)  # More than Starlette keeps in memory by itself.
    assert len(data) > 2_000_000
    assert page.send(data).status_code == 200


def test_a_fault_of_ours_is_logged_and_told_without_its_trace(caplog):
    page = Page()
    page.model.predict = None
    with caplog.at_level(logging.ERROR):
        response = page.send(encode(halves()))
    assert response.status_code == 500
    assert response.json() == {
        "error": "something went wrong here; the server's log tells what"
    }
    assert "photo.jpg" not in caplog.text


def test_too_little_memory_is_told():
    page = Page()

    def predict(image, look):
        raise MemoryError

    page.model.predict = predict
    response = page.send(encode(halves()))
    assert response.status_code == 413
    assert "not enough memory" in response.json()["error"]


def test_a_model_that_cannot_look_so_says_so():
    page = Page()
    page.model.looks = ()
    assert page.send(encode(halves())).status_code == 200
    response = page.send(encode(halves()), flip="true")
    assert response.status_code == 400
    assert response.json() == {"error": "flip: this model cannot do that"}


def test_answers_are_json_in_utf_8(page):
    response = page.send(b"", "Straße.jpg")
    assert json.loads(response.content.decode()) == {
        "error": "Straße.jpg: an empty file"
    }
