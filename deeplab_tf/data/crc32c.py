"""CRC-32C, the checksum of TFRecords, in NumPy.

A checksum is linear: that of a sum (exclusive or) is the sum of the checksums. So each
byte of a block adds what a table says of its place and value, and the checksum of what
came before is added to the first bytes of the block.
"""

import functools

import numpy as np

_POLYNOMIAL = 0x82F63B78  # Castagnoli's, its bits reversed.
_BLOCK = 512  # Bytes. Its table has 512 kB, as fits a cache.
# A checksum begins with all bits set; zeros and these four bytes set them.
_BEGIN = b"Td\x1fd"


def crc32c(data: bytes) -> int:
    """The checksum of data; 0xE3069283 of b"123456789"."""
    content = _BEGIN + data
    padded = content.rjust(-(-len(content) // _BLOCK) * _BLOCK, b"\0")
    blocks = np.frombuffer(padded, np.uint8).reshape(-1, _BLOCK)
    table, moved = _tables()
    total = 0
    for block in np.bitwise_xor.reduce(table[np.arange(_BLOCK), blocks], 1).tolist():
        for i in range(4):
            block ^= moved[i][total >> 8 * i & 0xFF]
        total = block
    return total ^ 0xFFFFFFFF


@functools.cache
def _tables() -> tuple[np.ndarray, list[list[int]]]:
    """What a byte adds at each place of a block, and what one of a checksum before it.

    `[_BLOCK, 256]` and `[4, 256]`.
    """
    last = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        last = np.where(last & 1, last >> 1 ^ _POLYNOMIAL, last >> 1)
    places = [last]
    for _ in range(_BLOCK - 1):
        places.append(last[places[-1] & 0xFF] ^ places[-1] >> 8)
    table = np.stack(places[::-1])
    return table, table[:4].tolist()  # A checksum is added to what follows it.
