"""Names what a file is that has none of the image formats, for the error message."""

from __future__ import annotations

import codecs
import re

_BEGINNINGS = (
    (re.compile(rb"\s*%PDF-"), "a PDF document"),
    (re.compile(rb"%!PS"), "a PostScript file"),
    (
        re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*|<!DOCTYPE[^>]*>\s*)*<svg\b", re.DOTALL),
        "an SVG drawing",
    ),
    (re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype html|html)\b", re.IGNORECASE), "a web page"),
    (re.compile(rb"\x80[\x02-\x05]"), "a Python pickle"),
    (re.compile(rb"PK\x03\x04"), "a ZIP archive"),
    (re.compile(rb"\x1f\x8b"), "a gzip archive"),
    (re.compile(rb"II\*\0|MM\0\*"), "a TIFF image"),
    (re.compile(rb".{4}ftyp(?:hei|hev|mif|msf)", re.DOTALL), "a HEIC image"),
    (re.compile(rb".{4}ftypavi", re.DOTALL), "an AVIF image"),
    (re.compile(rb".{4}ftyp", re.DOTALL), "a video"),
    (re.compile(rb"\0\0[\x01\x02]\0"), "a Windows icon"),
    (re.compile(rb"8BPS"), "a Photoshop file"),
    (re.compile(rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51"), "a JPEG 2000 image"),
)
_LOOKED_AT = 4096  # bytes


def kind_of(data: bytes) -> str:
    """What a file is, such as "a PDF document"; "of an unknown kind" where that cannot be told."""
    start = data[:_LOOKED_AT]
    named = next((name for pattern, name in _BEGINNINGS if pattern.match(start)), None)
    return named or ("plain text" if _is_text(start) else "of an unknown kind")


def _is_text(start: bytes) -> bool:
    if b"\0" in start:
        return False
    try:
        codecs.getincrementaldecoder("utf-8")().decode(start)  # the last character may be cut off
    except UnicodeDecodeError:
        return False
    return True
