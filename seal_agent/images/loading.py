"""Reads a picture from a path, bytes or a PIL image, upright and in RGB."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seal_agent.errors import InputError, MissingDependency

if TYPE_CHECKING:
    from PIL.Image import Image

ImageSource = Any
"""A path, bytes, a LoadedImage or a PIL image."""


@dataclass(frozen=True, slots=True)
class LoadedImage:
    """An RGB image and the SHA-256 of its size and pixels."""

    image: Image
    sha256: str


def load_image(source: ImageSource, limits: Any = None) -> LoadedImage:
    """The pixels of a picture. Raises InputError for what is none."""
    try:
        from PIL import Image, ImageOps, UnidentifiedImageError
    except ImportError as err:
        raise MissingDependency("pictures need Pillow: pip install 'seal-agent[vision]'") from err
    if isinstance(source, LoadedImage):
        return source
    try:
        if isinstance(source, (str, Path)):
            source = Image.open(Path(source).expanduser())
        elif isinstance(source, (bytes, bytearray)):
            source = Image.open(io.BytesIO(source))
        if not isinstance(source, Image.Image):
            raise InputError(f"a picture is a path, bytes or a PIL image, but this is {type(source).__name__}")
        upright = ImageOps.exif_transpose(source).convert("RGB")
    except (OSError, UnidentifiedImageError, ValueError) as err:
        if isinstance(err, InputError):
            raise
        raise InputError(f"the picture cannot be read ({err}); give a PNG, JPEG or WebP file") from err
    digest = hashlib.sha256(repr(upright.size).encode() + upright.tobytes()).hexdigest()
    return LoadedImage(upright, digest)
