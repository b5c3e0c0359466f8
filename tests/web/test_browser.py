"""The page in headless Chromium, as people use it."""

import contextlib
import io
import json
import threading
import time

import numpy as np
import pytest
from PIL import Image

from tests.web.browser import open_browser
from tests.web.serving import Colors, encode, halves

pytest.importorskip("starlette", reason="the extra [web] is not installed")

from deeplab_tf.config import WebConfig
from deeplab_tf.web import server

pytestmark = [pytest.mark.nightly, pytest.mark.slow]
TAB, ENTER, ESCAPE, DOWN = "\ue004", "\ue007", "\ue00c", "\ue015"
TOKEN = "a-token-of-tests-0123"


@contextlib.contextmanager
def serving(model, **settings):
    """Address of a page that is served."""
    token = settings.pop("token", None)
    with server.listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        config = WebConfig(model="runs/colors", **settings)
        app = server.create_app(model, config, token=token, port=port)
        running = server.new_server(app)
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://localhost:{port}/"
        finally:
            running.should_exit = True
            thread.join(20)


@pytest.fixture(scope="module")
def model():
    return Colors()


@pytest.fixture(scope="module")
def address(model):
    with serving(model, queue=1) as url:
        yield url


@pytest.fixture(scope="module")
def window(tmp_path_factory):
    with open_browser(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture
def page(window, address):
    window.open(address)
    window.wait("document.getElementById('model').textContent")
    return window


IS_SHOWN = "!document.getElementById('panel').hidden"
IS_REFUSED = "!document.getElementById('problem').hidden"
LEGEND = "return [...document.querySelectorAll('#legend button')].map(e => e.innerText)"


def pixel(page, x, y):
    """Color of the canvas at shares of its width and height."""
    return page.run(
        """
        const canvas = document.getElementById("canvas");
        const at = [arguments[0] * canvas.width, arguments[1] * canvas.height];
        return [...canvas.getContext("2d").getImageData(...at, 1, 1).data];
        """,
        x,
        y,
    )


def look(page, data=None, name="photo.png"):
    page.drop(data or encode(halves(60, 100)), name, "image/png")
    page.wait(IS_SHOWN)


def test_a_dropped_photograph_is_shown_with_its_legend(page):
    assert page.run("return document.getElementById('model').textContent") == (
        "3 classes of colors"
    )
    look(page)
    rows = [row.split("\n") for row in page.run(LEGEND)]
    assert sorted(rows) == [["background", "50 %"], ["red", "50 %"]]
    assert "1 class is not in it" in page.run("return document.body.innerText")
    red, blue = pixel(page, 0.25, 0.5), pixel(page, 0.75, 0.5)
    assert blue[:3] == [0, 0, 220]  # The background is left as it is.
    expected = [0.45 * 220 + 0.55 * 200, 0, 0]
    np.testing.assert_allclose(red[:3], expected, atol=3)


def test_the_opacity_is_that_of_the_slider(page):
    look(page)
    for percent in (0, 100):
        page.run(
            "const e = document.getElementById('opacity'); e.value = arguments[0];"
            "e.dispatchEvent(new Event('input'))",
            percent,
        )
        expected = [200 if percent else 220, 0, 0]
        np.testing.assert_allclose(pixel(page, 0.25, 0.5)[:3], expected, atol=2)


def test_a_class_is_shown_alone_by_mouse_and_by_keyboard(page):
    look(page)
    pressed = (
        "return [...document.querySelectorAll('#legend [aria-pressed=true]')]"
        ".map(e => e.innerText.split('\\n')[0])"
    )
    page.click("#legend button[value='1']")
    assert page.run(pressed) == ["red"]
    assert pixel(page, 0.75, 0.5)[2] < 150  # The others are dark.
    page.press(ESCAPE)
    assert page.run(pressed) == []
    assert pixel(page, 0.75, 0.5)[:3] == [0, 0, 220]
    page.run("document.querySelector('#legend button').focus()")
    page.press(DOWN)
    page.press(ENTER)
    rows = [row.split("\n")[0] for row in page.run(LEGEND)]
    assert page.run(pressed) == rows[1:2]


def test_the_focus_goes_through_the_page_in_order(page):
    look(page)
    assert page.run("return document.activeElement.id") == "heading"
    reached = []
    for _ in range(10):
        page.press(TAB)
        reached.append(
            page.run("const e = document.activeElement; return e.id || e.tagName")
        )
    assert reached == [
        *("BUTTON", "BUTTON", "SUMMARY", "crf", "scales", "flip"),
        *("save-mask", "save-overlay", "save-json", "BODY"),
    ]


def test_mask_overlay_and_shares_are_saved(page):
    look(page, name="my photo.png")
    page.click("#save-mask")
    mask = Image.open(io.BytesIO(page.saved("my photo_mask.png")))
    assert mask.mode == "P"
    expected = np.repeat([[1] * 50 + [0] * 50], 60, axis=0)
    np.testing.assert_array_equal(np.asarray(mask), expected)
    page.click("#save-overlay")
    overlay = Image.open(io.BytesIO(page.saved("my photo_overlay.png")))
    assert overlay.size == (100, 60)
    page.click("#save-json")
    facts = json.loads(page.saved("my photo.json"))
    assert facts["file"] == "my photo.png"
    assert (facts["width"], facts["height"]) == (100, 60)
    assert facts["model"] == "colors"
    assert [each["share"] for each in facts["classes"]] == [0.5, 0.5, 0]
    assert not {"mask", "ids", "photograph"} & facts.keys()


def test_files_are_chosen_and_looked_at_again_as_asked(page, model, tmp_path):
    path = tmp_path / "chosen.png"
    path.write_bytes(encode(halves(30, 40, left=(0, 220, 0))))
    page.type("#file", str(path))
    page.wait(IS_SHOWN)
    assert "green" in " ".join(page.run(LEGEND))
    count = len(model.asked)
    page.click("#flip")
    end = time.monotonic() + 10
    while len(model.asked) == count:
        assert time.monotonic() < end
        time.sleep(0.05)
    assert model.asked[-1][1].flip
    page.wait("document.getElementById('busy').hidden")
    assert page.run("return document.getElementById('flip').checked")


def test_what_a_browser_shows_otherwise_is_shown_as_the_network_saw_it(page):
    exif = Image.Exif()
    exif[0x0112] = 6
    look(page, encode(halves(40, 80), "PNG", exif=exif), "turned.png")
    red, blue = pixel(page, 0.5, 0.25), pixel(page, 0.5, 0.75)
    assert red[0] > 180 > 60 > red[2]
    assert blue[2] > 180 > 60 > blue[0]


def test_a_mistake_is_told_beside_the_button(page):
    page.drop(b"Dear reader", "notes.jpg", "image/jpeg")
    page.wait(IS_REFUSED)
    said = page.run("return document.getElementById('problem').innerText")
    assert said.startswith("notes.jpg: not a photograph")
    look(page)  # The next one is looked at.
    assert not page.run(f"return {IS_REFUSED}")


def test_while_the_network_looks_the_page_says_so_and_may_be_told_to_stop(page, model):
    model.hold.clear()
    try:
        page.drop(encode(halves()), "photo.png", "image/png")
        page.wait("!document.getElementById('busy').hidden")
        assert page.run("return document.getElementById('doing').innerText") == (
            "Looking"
        )
        page.wait("!document.getElementById('picture').hidden")  # The preview.
        page.press(ESCAPE)
        page.wait("document.getElementById('busy').hidden")
        assert page.run("return document.activeElement.id") == "choose"
        page.drop(encode(halves()), "photo.png", "image/png")
        page.wait(IS_REFUSED)  # The one place is taken until the network is done.
        assert "try again in" in page.run(
            "return document.getElementById('problem').innerText"
        )
    finally:
        model.hold.set()
    time.sleep(0.3)
    page.click("#problem button")
    page.wait(IS_SHOWN)


def test_the_token_opens_the_page(window):
    with serving(Colors(), token=TOKEN) as url:
        window.open(url)
        assert window.run("return document.title") == "Segmentation"
        window.type("#token", TOKEN)
        window.click("button")
        window.wait("document.getElementById('model')?.textContent")
        assert window.run("return location.search") == ""
        look(window)


def test_on_a_telephone_nothing_is_wider_than_the_screen(tmp_path, address):
    with open_browser(tmp_path, telephone=True) as phone:
        phone.open(address)
        phone.wait("document.getElementById('model').textContent")
        assert phone.run("return innerWidth") == 360
        assert phone.run("return document.getElementById('take').offsetHeight") >= 44
        look(phone)
        assert phone.run("return document.documentElement.scrollWidth") == 360
        assert phone.run("return document.getElementById('canvas').clientWidth") == 360
        small = (
            "return [...document.querySelectorAll('button, label.check, summary')]"
            ".filter(e => e.offsetHeight && e.offsetHeight < 28).map(e => e.outerHTML)"
        )
        assert phone.run(small) == []
