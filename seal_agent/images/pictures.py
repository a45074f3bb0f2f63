"""Pictures as values that prompts, revisions and the ledger hold, and back as images."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from typing import TYPE_CHECKING

from seal_agent.images.loading import ImageSource, load_image
from seal_agent.types import Picture

if TYPE_CHECKING:
    from PIL.Image import Image


def as_picture(source: ImageSource) -> Picture:
    """A picture from a path, bytes or a PIL image; a Picture stays as it is. Raises InputError."""
    if isinstance(source, Picture):
        return source
    loaded = load_image(source)
    file = io.BytesIO()
    loaded.image.save(file, "PNG")
    return Picture(loaded.sha256, base64.b64encode(file.getvalue()).decode())


def as_pictures(sources: ImageSource | Iterable[ImageSource]) -> tuple[Picture, ...]:
    """Pictures from one source or several."""
    many = sources if isinstance(sources, (list, tuple)) else (sources,)
    return tuple(map(as_picture, many))


def image_of(picture: Picture) -> Image:
    """The RGB image that a picture holds."""
    from PIL import Image

    with Image.open(io.BytesIO(base64.b64decode(picture.png))) as image:
        return image.convert("RGB")
