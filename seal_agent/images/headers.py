"""Format and size of an image file, read from its first bytes without decoding anything."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
"""The formats that are read, under Pillow's names."""

_PNG = b"\x89PNG\r\n\x1a\n"
_BMP_HEADERS = (12, 16, 40, 52, 56, 64, 108, 124)  # lengths of the bitmap headers that exist
_JPEG_SIZES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # start-of-frame markers
_JPEG_ALONE = {0x01, *range(0xD0, 0xD9)}  # markers without a length
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_JPEG_MARKER = re.compile(rb"\xff([\xc0-\xcf\xd9-\xfe])")  # those with a length, and the end; others are passed over


@dataclass(frozen=True, slots=True)
class Header:
    """What an image file says of itself."""

    format: str
    width: int
    height: int

    @property
    def pixels(self) -> int:
        return self.width * self.height


def read_header(data: bytes) -> Header | None:
    """Format and size of an image file; None if it has none of FORMATS. Raises ValueError for a broken header."""
    name = _format_of(data)
    if name is None:
        return None
    try:
        width, height = _SIZES[name](data)
    except IndexError:
        raise ValueError("it ends within its header") from None
    if not width or not height:
        raise ValueError("it says that it has no pixels")
    return Header(name, width, height)


def jpeg_scans(data: bytes) -> int:
    """How many scans the first image of a JPEG file has: each may go over all of its pixels.

    Neither its metadata nor what follows its end counts, such as the film of a motion photo.
    """
    scans, place = 0, 2
    while (found := _JPEG_MARKER.search(data, place)) and (marker := found[1][0]) != _END_OF_IMAGE:
        scans += marker == _START_OF_SCAN
        place = found.end() + max(2, _big(data[found.end() : found.end() + 2]))
    return scans


def _format_of(data: bytes) -> str | None:
    if data.startswith(_PNG):
        return "PNG"
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[:6] in (b"GIF87a", b"GIF89a"):
        return "GIF"
    return "BMP" if data[:2] == b"BM" and _little(data[14:18]) in _BMP_HEADERS else None


# ---------------------------------------------------------------- sizes


def _png_size(data: bytes) -> tuple[int, int]:
    if data[12:16] != b"IHDR":
        raise ValueError("its first part is not the header")
    return _big(_part(data, 16, 4)), _big(_part(data, 20, 4))


def _jpeg_size(data: bytes) -> tuple[int, int]:
    place = 2
    while True:
        if data[place] != 0xFF:
            raise ValueError("it has no start of frame")
        marker = data[place + 1]
        if marker == 0xFF:  # padding
            place += 1
        elif marker in _JPEG_ALONE:
            place += 2
        elif marker in _JPEG_SIZES:
            return _big(_part(data, place + 7, 2)), _big(_part(data, place + 5, 2))
        elif marker == _START_OF_SCAN:
            raise ValueError("it has no start of frame")
        else:
            place += 2 + max(2, _big(_part(data, place + 2, 2)))


def _webp_size(data: bytes) -> tuple[int, int]:
    chunk = data[12:16]
    if chunk == b"VP8X":
        return _little(_part(data, 24, 3)) + 1, _little(_part(data, 27, 3)) + 1
    if chunk == b"VP8L":
        packed = _little(_part(data, 21, 4))
        return (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
    if chunk == b"VP8 ":
        return _little(_part(data, 26, 2)) & 0x3FFF, _little(_part(data, 28, 2)) & 0x3FFF
    raise ValueError("its first part is not the header")


def _gif_size(data: bytes) -> tuple[int, int]:
    return _little(_part(data, 6, 2)), _little(_part(data, 8, 2))


def _bmp_size(data: bytes) -> tuple[int, int]:
    if _little(data[14:18]) == 12:
        return _little(_part(data, 18, 2)), _little(_part(data, 20, 2))
    width, height = (int.from_bytes(_part(data, place, 4), "little", signed=True) for place in (18, 22))
    return abs(width), abs(height)  # a negative height means that the rows run downwards


_SIZES: dict[str, Callable[[bytes], tuple[int, int]]] = {
    "PNG": _png_size,
    "JPEG": _jpeg_size,
    "WEBP": _webp_size,
    "GIF": _gif_size,
    "BMP": _bmp_size,
}


def _part(data: bytes, start: int, length: int) -> bytes:
    """Bytes of the header. Raises IndexError where the file ends before."""
    part = data[start : start + length]
    if len(part) < length:
        raise IndexError(start)
    return part


def _big(part: bytes) -> int:
    return int.from_bytes(part, "big")


def _little(part: bytes) -> int:
    return int.from_bytes(part, "little")
