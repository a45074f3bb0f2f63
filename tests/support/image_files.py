"""Image files of every format and mode, and hostile ones, made in memory."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from typing import Any

from PIL import Image

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 128, 0), (0, 0, 255), (255, 255, 255)


def quarters(width: int = 40, height: int = 20) -> Image.Image:
    """Red, green, blue and white quarters, from the upper left, clockwise: every turn of it looks different."""
    image = Image.new("RGB", (width, height), WHITE)
    image.paste(RED, (0, 0, width // 2, height // 2))
    image.paste(GREEN, (width // 2, 0, width, height // 2))
    image.paste(BLUE, (width // 2, height // 2, width, height))
    return image


def saved(image: Image.Image, name: str, **options: Any) -> bytes:
    """An image as a file of Pillow's format of this name."""
    file = BytesIO()
    image.save(file, format=name, **options)
    return file.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    """One part of a PNG file."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, rows: bytes, *others: bytes, depth: int = 1, colour: int = 0) -> bytes:
    """A PNG file that says it has this size, and holds these rows."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    body = b"".join(others) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + body


def png_bomb(side: int = 20_000) -> bytes:
    """A small, valid file of black and white pixels: 400 million of them, at 20,000."""
    return png(side, side, bytes((side + 7) // 8 + 1) * side)


def with_size(data: bytes, place: int, form: str, *size: int) -> bytes:
    """A file with another size in its header."""
    packed = struct.pack(form, *size)
    return data[:place] + packed + data[place + len(packed) :]


def text_bomb() -> bytes:
    """A PNG file of one pixel whose comment is 200 MB long when it is unpacked."""
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(2**20)) for _ in range(200)) + packer.flush()
    return png(1, 1, b"\0\0", chunk(b"zTXt", b"Comment\0\0" + packed))


def animation(name: str, frames: int, side: int = 64) -> bytes:
    """A red frame and many others."""
    first, others = (
        Image.new("RGB", (side, side), RED),
        [Image.new("RGB", (side, side), (0, 0, i % 256)) for i in range(frames)],
    )
    return saved(first, name, save_all=True, append_images=others, duration=10)


def large_gif_frame() -> bytes:
    """A GIF file whose header says 1 × 1, and whose first frame 20,000 × 20,000."""
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, 20_000, 20_000, 0)
    return b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + bytes(6) + frame + b"\x02\x02\x4c\x01\x00\x3b"


def many_scans(count: int = 2_000) -> bytes:
    """A progressive JPEG file whose last scan is there again and again."""
    data = saved(quarters(), "JPEG", progressive=True)
    start = data.rindex(b"\xff\xda")
    return data[:start] + data[start:-2] * count + data[-2:]


HOSTILE = {
    "bomb.png": png_bomb,
    "wide.png": lambda: png(2**31 - 1, 2**31 - 1, b"\0"),
    "bomb.jpg": lambda: _jpeg_of(65_500, 65_500),
    "bomb.gif": lambda: with_size(saved(quarters(), "GIF"), 6, "<HH", 65_535, 65_535),
    "frame.gif": large_gif_frame,
    "bomb.bmp": lambda: with_size(saved(quarters(), "BMP"), 18, "<ii", 20_000, -20_000),
    "bomb.webp": lambda: _webp_of(16_383, 16_383),
    "canvas.webp": lambda: _webp_canvas(2**24, 200),
    "text.png": text_bomb,
    "scans.jpg": many_scans,
}
"""Small files that claim, or unpack to, very much; by file name."""


def _jpeg_of(width: int, height: int) -> bytes:
    data = saved(quarters(), "JPEG")
    return with_size(data, data.index(b"\xff\xc0") + 5, ">HH", height, width)


def _webp_of(width: int, height: int) -> bytes:
    data = saved(quarters(), "WEBP", lossless=True)
    assert data[12:16] == b"VP8L"
    packed = int.from_bytes(data[21:25], "little") & ~0xFFFFFFF | (width - 1) | (height - 1) << 14
    return data[:21] + packed.to_bytes(4, "little") + data[25:]


def _webp_canvas(width: int, height: int) -> bytes:
    data = animation("WEBP", 2)
    assert data[12:16] == b"VP8X"
    return data[:24] + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little") + data[30:]
