"""A small grey picture as a PNG inside the page, so that nothing has to be loaded."""

import struct
import zlib
from base64 import b64encode
from collections.abc import Sequence

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY_8_BIT = struct.pack(">BBBBB", 8, 0, 0, 0, 0)


def data_uri(picture: Sequence[Sequence[int]]) -> str:
    """Rows of grey levels, 0 black to 255 white, as the address of a PNG that holds itself.

    Source: the PNG specification, third edition (W3C 2025): greyscale, 8 bits, no filter.
    """
    size = struct.pack(">II", len(picture[0]), len(picture))
    rows = b"".join(b"\0" + bytes(min(max(level, 0), 255) for level in row) for row in picture)
    chunks = (b"IHDR", size + GREY_8_BIT), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b"")
    whole = SIGNATURE + b"".join(_chunk(name, content) for name, content in chunks)
    return f"data:image/png;base64,{b64encode(whole).decode()}"


def _chunk(name: bytes, content: bytes) -> bytes:
    checked = name + content
    return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))
