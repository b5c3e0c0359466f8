"""Headless Chromium, by the protocol of WebDriver: chromedriver, and no library."""

import base64
import contextlib
import shutil
import socket
import subprocess
import time

import httpx
import pytest

_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # Its key in WebDriver's answers.


class Browser:
    """A window.

    Attributes:
        downloads: Folder of what is saved.
    """

    def __init__(self, client, downloads):
        self._client, self.downloads = client, downloads

    def _call(self, method, path, **content):
        answer = self._client.request(method, path, json=content or {})
        value = answer.json()["value"]
        assert answer.status_code == 200, value
        return value

    def open(self, url):
        self._call("POST", "url", url=url)

    def run(self, script, *arguments):
        """What a function body of JavaScript returns."""
        return self._call("POST", "execute/sync", script=script, args=list(arguments))

    def wait(self, condition, seconds=20):
        """Waits until an expression of JavaScript is true."""
        end = time.monotonic() + seconds
        while not (value := self.run(f"return {condition}")):
            assert time.monotonic() < end, condition
            time.sleep(0.05)
        return value

    def find(self, selector):
        element = self._call("POST", "element", using="css selector", value=selector)
        return f"element/{element[_ELEMENT]}"

    def click(self, selector):
        self._client.post(f"{self.find(selector)}/click", json={}).raise_for_status()

    def type(self, selector, text):
        """Keys to an element; to one that chooses files, their paths."""
        path = f"{self.find(selector)}/value"
        self._client.post(path, json={"text": text}).raise_for_status()

    def press(self, key):
        """A key to where the focus is."""
        strokes = [{"type": kind, "value": key} for kind in ("keyDown", "keyUp")]
        keyboard = {"type": "key", "id": "keyboard", "actions": strokes}
        self._call("POST", "actions", actions=[keyboard])

    def drop(self, data, name, kind):
        """Drops a file on the page."""
        self.run(
            """
            const [data, name, type] = arguments;
            const bytes = Uint8Array.from(atob(data), (char) => char.charCodeAt(0));
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File([bytes], name, { type }));
            const settings = { bubbles: true, cancelable: true, dataTransfer };
            for (const event of ["dragenter", "dragover", "drop"]) {
              document.body.dispatchEvent(new DragEvent(event, settings));
            }
            """,
            base64.b64encode(data).decode(),
            name,
            kind,
        )

    def saved(self, name):
        """Bytes of a file that was saved."""
        path = self.downloads / name
        end = time.monotonic() + 10
        while not path.exists():
            assert time.monotonic() < end, list(self.downloads.iterdir())
            time.sleep(0.05)
        return path.read_bytes()


@contextlib.contextmanager
def open_browser(folder, *, telephone=False):
    """A window of Chromium, or a telephone's screen of 360x740 points.

    Skips where it is not installed.
    """
    names = ("chromium", "chromium-browser", "google-chrome")
    chromium = next(filter(None, map(shutil.which, names)), None)
    driver = shutil.which("chromedriver")
    if not driver or not chromium:
        pytest.skip("Chromium is not there: apt-get install chromium chromium-driver")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [driver, f"--port={port}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    arguments = [
        *("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"),
        "--window-size=1280,800",
        f"--user-data-dir={folder / 'profile'}",
    ]
    downloads = folder / "downloads"
    downloads.mkdir()
    options = {
        "binary": chromium,
        "args": arguments,
        "prefs": {"download.default_directory": str(downloads)},
    }
    if telephone:
        screen = {"width": 360, "height": 740, "pixelRatio": 2, "touch": True}
        options["mobileEmulation"] = {"deviceMetrics": screen}
    wish = {"alwaysMatch": {"goog:chromeOptions": options}}
    base = f"http://127.0.0.1:{port}"
    try:
        _wait_for(base)
        answer = httpx.post(
            f"{base}/session", json={"capabilities": wish}, timeout=60
        ).json()
        session = f"{base}/session/{answer['value']['sessionId']}"
        try:
            with httpx.Client(base_url=f"{session}/", timeout=60) as client:
                yield Browser(client, downloads)
        finally:
            httpx.delete(session, timeout=60).raise_for_status()  # Closes the window.
    finally:
        process.terminate()
        process.wait(20)


def _wait_for(base):
    for _ in range(200):
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{base}/status").json()["value"]["ready"]:
                return
        time.sleep(0.05)
    raise AssertionError("chromedriver does not start")
