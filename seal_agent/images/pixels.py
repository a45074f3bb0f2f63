"""Pixels of any mode as RGB, upright, without metadata; and their hash."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

_ORIENTATION = 0x0112  # the EXIF tag
_ROWS_AT_ONCE = 256


def rgb_of(image: Image) -> Image:
    """A new RGB image without metadata; what is transparent becomes white.

    Of 16 bits per channel the upper eight are kept. Colour profiles are ignored: colours count as sRGB, and those of
    CMYK are converted without one. Raises ValueError for a mode that cannot be converted.
    """
    if image.mode == "F":
        raise ValueError("its pixels are fractions without a range")
    if image.mode == "I" or image.mode.startswith("I;16"):
        rgb = _from_16_bits(image)
    elif image.has_transparency_data:
        rgb = _on_white(image)
    else:
        rgb = image.convert("RGB")
    rgb.info = {}
    return rgb


def orientation_of(image: Image) -> int:
    """EXIF's orientation, 1 to 8; 1, as it stands, where there is none or it cannot be read."""
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # Pillow's reader of metadata meets anything in damaged files; the pixels are fine
        return 1
    return value if value in range(1, 9) else 1


def turned(image: Image, orientation: int) -> Image:
    """The image as EXIF's orientation says that it is to be seen."""
    from PIL.Image import Transpose

    methods = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    return image.transpose(methods[orientation]) if orientation in methods else image


def hash_of(image: Image) -> str:
    """SHA-256 of the size and the pixels, read in bands so that no second copy is held."""
    digest = sha256(f"{image.mode} {image.width} {image.height}\n".encode())
    for top in range(0, image.height, _ROWS_AT_ONCE):
        bottom = min(top + _ROWS_AT_ONCE, image.height)
        digest.update(image.crop((0, top, image.width, bottom)).tobytes())
    return digest.hexdigest()


def _from_16_bits(image: Image) -> Image:
    """Pillow's own conversion would cut values above 255 off."""
    import numpy as np
    import PIL.Image

    values = np.asarray(image)
    if image.mode == "I":
        values = np.clip(values, 0, 0xFFFF)
    return PIL.Image.fromarray((values >> 8).astype(np.uint8)).convert("RGB")


def _on_white(image: Image) -> Image:
    import PIL.Image

    if image.mode != "RGBA":
        image = image.convert("RGBA")
    rgb = PIL.Image.new("RGB", image.size, "white")
    rgb.paste(image, mask=image)
    return rgb
