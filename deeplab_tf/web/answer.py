"""What the page is told: of the model, and of a photograph."""

import base64
import json
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np

import deeplab_tf
from deeplab_tf.config import WebConfig
from deeplab_tf.data import image_files
from deeplab_tf.data.spec import Color
from deeplab_tf.visualizing import colors
from deeplab_tf.web import photograph
from deeplab_tf.web.model import Look, Model, segment

_BANDS = 64  # Of a mask that is counted: so no copy of it all is made.


def describe(model: Model, config: WebConfig) -> bytes:
    """JSON of the model and of what is taken.

    Colors are those of the masks; `shown`, in which the page draws, has those moved
    that look alike.
    """
    shown = colors.contrast(model.palette)
    classes = [
        _class(i, model) | {"shown": _hex(shown[i])} for i in range(len(model.classes))
    ]
    return _json(
        {
            "model": Path(str(config.model)).name,
            "dataset": model.name,
            "classes": classes,
            "looks": list(model.looks),
            "crf": config.crf,
            "max_megapixels": config.max_megapixels,
            "max_bytes": int(config.max_megabytes * 1e6),
            "deeplab_tf": deeplab_tf.__version__,
        }
    )


def look_at(
    model: Model, data: bytes, name: str, look: Look, config: WebConfig
) -> bytes:
    """JSON of a photograph: sizes, shares of the classes, and the mask.

    The mask comes as a file, `mask`, an indexed PNG, and as what a page draws, `ids`,
    the rows of its ids, deflated; `photograph` is a JPEG where a browser does not show
    the file as the network saw it, and else null. All three are in base64.

    Args:
        model: That looks.
        data: The file.
        name: As the sender calls it.
        look: How.
        config: Of the page.

    Raises:
        Refusal: See `photograph.read` and `model.segment`.
    """
    started = time.monotonic()
    taken = photograph.read(data, name)
    height, width = taken.pixels.shape[:2]
    ids, seen = segment(model, taken.pixels, look, max_side=config.max_side)
    copy = photograph.jpeg(taken.pixels) if taken.needs_copy else None
    counts = _count(ids, len(model.classes))
    classes = [
        _class(i, model) | {"pixels": count, "share": count / ids.size}
        for i, count in enumerate(counts)
    ]
    return _json(
        {
            "width": width,
            "height": height,
            "seen_width": seen[1],
            "seen_height": seen[0],
            "model": Path(str(config.model)).name,
            "dataset": model.name,
            "deeplab_tf": deeplab_tf.__version__,
            "scales": list(look.scales),
            "flip": look.flip,
            "crf": config.crf if look.crf else None,
            "seconds": round(time.monotonic() - started, 3),
            "remarks": list(taken.remarks),
            "classes": classes,
            "mask": _base64(image_files.png(ids, model.palette)),
            "ids": _base64(zlib.compress(ids.tobytes(), 1)),
            "photograph": copy and _base64(copy),
        }
    )


def _class(i: int, model: Model) -> dict[str, Any]:
    return {"id": i, "name": model.classes[i], "color": _hex(model.palette[i])}


def _count(ids: np.ndarray, classes: int) -> list[int]:
    """Pixels of each class."""
    bands = np.array_split(ids, min(_BANDS, len(ids)))
    counts = [np.bincount(band.ravel(), minlength=classes) for band in bands]
    return np.sum(counts, axis=0).tolist()


def _hex(color: Color) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _json(facts: dict[str, Any]) -> bytes:
    return json.dumps(facts, ensure_ascii=False, separators=(",", ":")).encode()
