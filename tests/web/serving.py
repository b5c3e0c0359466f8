"""The page without a port: requests to its application, one or many at once."""

import asyncio
import dataclasses
import io
import threading

import httpx
import numpy as np
from PIL import Image

from deeplab_tf.config import WebConfig
from deeplab_tf.web import server

CLASSES = ("background", "red", "green")
PALETTE = ((0, 0, 0), (200, 0, 0), (0, 200, 0))
LOCAL = "http://127.0.0.1:8000"


@dataclasses.dataclass
class Colors:
    """A model whose answer is known: 1 where red is strongest, 2 where green, else 0.

    Attributes:
        hold: Predictions wait for it.
        asked: Images' sizes and looks, in order.
    """

    name: str = "colors"
    classes: tuple = CLASSES
    palette: tuple = PALETTE
    looks: tuple = ("scales", "flip", "crf")
    trained_side: int = 0
    hold: threading.Event = dataclasses.field(default_factory=threading.Event)
    asked: list = dataclasses.field(default_factory=list)

    def __post_init__(self):
        self.hold.set()

    def predict(self, image, look):
        assert self.hold.wait(20)
        self.asked.append((image.shape, look))
        red, green, blue = (image[..., i].astype(int) for i in range(3))
        classes = np.zeros(image.shape[:2], np.int32)
        classes[(red > green + 40) & (red > blue + 40)] = 1
        classes[(green > red + 40) & (green > blue + 40)] = 2
        return classes


class Page:
    """Requests to the application."""

    def __init__(self, model=None, *, token=None, base=LOCAL, **settings):
        self.model = model or Colors()
        config = WebConfig(model="runs/colors", **settings)
        self.app = server.create_app(self.model, config, token=token, port=8000)
        self.base = base

    def client(self):
        transport = httpx.ASGITransport(self.app)
        return httpx.AsyncClient(transport=transport, base_url=self.base, timeout=30)

    def ask(self, method, path, **request):
        async def run():
            async with self.client() as client:
                return await client.request(method, path, **request)

        return asyncio.run(run())

    def get(self, path, **request):
        return self.ask("GET", path, **request)

    def send(self, data, name="photo.jpg", headers=None, **fields):
        files = {"photograph": (name, data)}
        return self.ask("POST", "/segment", files=files, data=fields, headers=headers)


def encode(pixels, kind="PNG", **settings):
    stream = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(stream, kind, **settings)
    return stream.getvalue()


def halves(height=20, width=30, *, left=(220, 0, 0), right=(0, 0, 220)):
    """A photograph of two colors."""
    pixels = np.empty((height, width, 3), np.uint8)
    pixels[:, : width // 2], pixels[:, width // 2 :] = left, right
    return pixels
