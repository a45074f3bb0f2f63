"""Reads text files: UTF-8, and UTF-16 and UTF-32 with a byte order mark."""

from __future__ import annotations

import codecs
from pathlib import Path

from seal_agent.errors import InputError
from seal_agent.text.inflection import composed

_BYTE_ORDER_MARKS = (  # that of UTF-32 begins like that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_BINARY = "give text, or a PDF, Word, EPUB, HTML, Markdown or reStructuredText file under its usual ending"


def read_text(path: str | Path) -> str:
    """Read a text file. Raises InputError if it is missing, binary, empty, or in an encoding without a mark."""
    return decode_text(read_bytes(path), str(Path(path).expanduser()))


def read_bytes(path: str | Path) -> bytes:
    """The bytes of a file. Raises InputError if it is missing or cannot be read."""
    path = Path(path).expanduser()
    try:
        return path.read_bytes()
    except FileNotFoundError as err:
        raise InputError(f"there is no file {path}; check the path") from err
    except OSError as err:
        raise InputError(f"{path} cannot be read ({err.strerror}); give a readable text file") from err


def has_byte_order_mark(raw: bytes) -> bool:
    """Whether a text begins with the mark of its encoding, which counts more than what it says of itself."""
    return raw.startswith((codecs.BOM_UTF8, *(mark for mark, _ in _BYTE_ORDER_MARKS)))


def decode_text(raw: bytes, source: str) -> str:
    """The text in the bytes of a text file, with composed accents (NFC); InputError names it as `source`."""
    encoding = next((name for mark, name in _BYTE_ORDER_MARKS if raw.startswith(mark)), "utf-8-sig")
    if encoding == "utf-8-sig" and b"\0" in raw:
        raise InputError(f"{source} is a binary file, or UTF-16 without a byte order mark; {_BINARY}")
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as err:
        name = encoding.removesuffix("-sig").upper()
        raise InputError(f"{source} is not {name} text (byte {err.start}); save it as UTF-8") from err
    if "\0" in text:
        raise InputError(f"{source} is a binary file, since it holds NUL characters; {_BINARY}")
    if not text.strip():
        raise InputError(f"{source} is empty; give a text to learn from")
    return composed(text)
