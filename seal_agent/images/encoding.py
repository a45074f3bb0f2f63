"""Images as text and bytes: PNG files for a revision's provenance, and base64 as chat messages carry it."""

from __future__ import annotations

import binascii
from base64 import b64decode
from io import BytesIO
from typing import TYPE_CHECKING

from seal_agent.config import ImageLimits
from seal_agent.errors import InputError
from seal_agent.images.sources import check_bytes

if TYPE_CHECKING:
    from PIL.Image import Image

_COMPRESSION = 6  # zlib's own default


def encode_png(image: Image) -> bytes:
    """An RGB image as a PNG file without metadata. The same pixels give the same bytes with the same Pillow.

    Another release may compress otherwise: compare `LoadedImage.sha256`, which `load_image` finds again.
    """
    plain = image.copy()
    plain.info = {}
    file = BytesIO()
    plain.save(file, format="PNG", compress_level=_COMPRESSION, optimize=False)
    return file.getvalue()


def decode_base64(text: str, limits: ImageLimits | None = None) -> bytes:
    """The bytes of an image that a message carries as base64, bare or as "data:image/png;base64,…".

    Raises InputError for another address, for what is not base64, and for more bytes than the limits allow.
    """
    limits = limits or ImageLimits()
    if text[:5].lower() == "data:":
        head, comma, text = text.partition(",")
        if not comma or not head.lower().endswith(";base64"):
            raise InputError("the data: address of an image must be base64; write data:image/png;base64,…")
    check_bytes(len(text) * 3 // 4, "the image", limits)
    try:
        return b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise InputError("the image is not base64; encode the bytes of an image file") from None
