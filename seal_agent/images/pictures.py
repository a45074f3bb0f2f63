"""Pictures as values that prompts, revisions and the ledger hold, and back as images."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import TYPE_CHECKING

from seal_agent.config import ImageLimits
from seal_agent.images.encoding import encode_png
from seal_agent.images.loading import ImageSource, load_image
from seal_agent.types import Picture

if TYPE_CHECKING:
    from PIL.Image import Image


def as_picture(source: ImageSource | Picture) -> Picture:
    """A picture from a path, bytes or a PIL image; a Picture stays as it is. Raises InputError."""
    if isinstance(source, Picture):
        return source
    loaded = load_image(source)
    return Picture(loaded.sha256, b64encode(encode_png(loaded.image)).decode())


def as_pictures(sources: ImageSource | Picture | Sequence[ImageSource | Picture]) -> tuple[Picture, ...]:
    """Pictures from one source or several."""
    many = sources if isinstance(sources, (list, tuple)) else (sources,)
    return tuple(map(as_picture, many))


def image_of(picture: Picture) -> Image:
    """The RGB image that a picture holds. Its bytes are not limited again: as PNG a photo takes many times its JPEG."""
    data = b64decode(picture.png)
    return load_image(data, ImageLimits(max_bytes=max(1, len(data)))).image
