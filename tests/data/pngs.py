"""PNG files of masks, bit by bit, as other tools write them: what Pillow cannot."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Adam7: first column and row of each pass, and how far apart its pixels are.
_PASSES = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)


def misread(ids):
    """Masks of 0 and 1 `[H, W]` that TensorFlow reads otherwise, by what they are."""
    two = ((0, 0, 0), (9, 9, 9))
    bits = {f"{n} bits": gray(ids, n) for n in (1, 2, 4, 16)}
    return bits | {
        "a palette": pillow(ids, "P", palette=two),
        "a palette of 1 bit": pillow(ids, "P", palette=two, bits=1),
        "a palette with transparency": pillow(ids, "P", palette=two, transparency=0),
        "colors": pillow(np.stack([ids] * 3, -1), "RGB"),
        "colors and alpha": pillow(np.stack([ids] * 4, -1), "RGBA"),
        "an alpha channel": pillow(np.stack([ids] * 2, -1), "LA"),
        "a JPEG": pillow(ids, "L", "JPEG"),
        "a GIF": pillow(ids, "L", "GIF"),
    }


def unusual(ids):
    """Masks that are gray PNGs of 8 bits, and right, by what is odd about them."""
    gamma = struct.pack(">I", 45455)
    return {
        "interlaced": interlaced(ids),
        "a transparent id": gray(ids, 8, chunk(b"tRNS", b"\0\1")),
        "a gamma": gray(ids, 8, chunk(b"gAMA", gamma)),
        "significant bits": gray(ids, 8, chunk(b"sBIT", b"\1")),
    }


def gray(ids, bits, more=b""):
    """A gray PNG of so many bits a pixel, with further chunks."""
    if bits == 16:
        rows = [row.astype(">u2").tobytes() for row in ids]
    elif bits == 8:
        rows = [row.tobytes() for row in ids]
    else:
        # Each id as so many bits, the highest first.
        places = np.unpackbits(ids[..., np.newaxis], axis=-1)[..., -bits:]
        rows = [np.packbits(row).tobytes() for row in places]
    return _file(ids.shape, bits, b"".join(b"\0" + row for row in rows), more=more)


def interlaced(ids):
    """A gray PNG of 8 bits whose pixels come in seven passes."""
    passes = [ids[y::down, x::right] for x, y, right, down in _PASSES]
    rows = b"".join(b"\0" + r.tobytes() for part in passes if part.size for r in part)
    return _file(ids.shape, 8, rows, interlace=1)


def _file(shape, bits, rows, more=b"", interlace=0):
    header = struct.pack(">IIBBBBB", shape[1], shape[0], bits, 0, 0, 0, interlace)
    content = chunk(b"IHDR", header) + more + chunk(b"IDAT", zlib.compress(rows))
    return SIGNATURE + content + chunk(b"IEND", b"")


def chunk(kind, content):
    """A chunk of a PNG file, with its checksum."""
    crc = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + crc


def pillow(array, mode, kind="PNG", palette=(), **options):
    """A file as Pillow writes it."""
    image = Image.fromarray(array)
    if palette:
        image.putpalette([value for color in palette for value in color])
    assert image.mode == mode
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()
