"""PNG chunks: their checksums (CRC), of which Pillow compares only those of headers.

A bit that flips in the chunk of pixels changes some ids of a mask into others, which
nothing else would show.
"""

import struct
import zlib

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_FRAME = 12  # Bytes around the content of a chunk: its length and kind, its checksum.


def describe_damage(png: bytes) -> str:
    """What is wrong with the chunks of a PNG, by name; empty where all are whole."""
    view, position = memoryview(png), len(SIGNATURE)
    while position + _FRAME <= len(png):
        length, kind = struct.unpack_from(">I4s", png, position)
        name = repr(kind.decode("latin-1"))[1:-1]
        end = position + _FRAME + length
        if end > len(png):
            return f"it ends within the chunk {name}"
        (wanted,) = struct.unpack_from(">I", png, end - 4)
        if zlib.crc32(view[position + 4 : end - 4]) != wanted:
            return f"the chunk {name} has a wrong checksum"
        if kind == b"IEND":
            return ""  # What may follow is no part of the image.
        position = end
    return "it ends before the chunk IEND"
