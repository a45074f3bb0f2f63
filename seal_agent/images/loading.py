"""Opens an image from a file, from bytes, or from Pillow: checked before it is decoded, then as plain RGB pixels."""

from __future__ import annotations

from dataclasses import dataclass, field
from io import BytesIO
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from seal_agent.config import ImageLimits
from seal_agent.errors import InputError, MissingDependency, first_line
from seal_agent.images.headers import FORMATS, Header, jpeg_scans, read_header
from seal_agent.images.kinds import kind_of
from seal_agent.images.pixels import hash_of, orientation_of, rgb_of, turned
from seal_agent.images.sources import check_bytes, read_file, shortened

if TYPE_CHECKING:
    from PIL.Image import Image

ImageSource: TypeAlias = "str | PathLike[str] | bytes | Image | LoadedImage"
"""A path, the bytes of an image file, or an image of Pillow. Never an address: nothing is fetched."""


@dataclass(frozen=True, slots=True)
class LoadedImage:
    """An image as RGB pixels, upright and without metadata. Two are equal if their pixels are.

    Args:
        image: Pillow's image, in mode RGB. Do not draw on it.
        sha256: Of the size and the pixels, in hexadecimal digits; it does not depend on the file's format.
        width: In pixels.
        height: In pixels.
        format: PNG, JPEG, WEBP, GIF or BMP; "" for an image that came without a file.
    """

    image: Image = field(compare=False, repr=False)
    sha256: str
    width: int
    height: int
    format: str = field(compare=False)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels, as in Pillow."""
        return self.width, self.height


_READABLE = "give a PNG, JPEG, WebP, GIF or BMP image"
_NAMELESS = "the image"


def load_image(source: ImageSource, limits: ImageLimits | None = None) -> LoadedImage:
    """Check and decode an image. Of an animation, the first frame.

    Memory stays below 14 bytes for each pixel that `limits` allows, whatever the file claims.

    Args:
        source: A path, the bytes of an image file, or an image of Pillow, which is left as it is. One that was loaded
            already comes back.
        limits: The largest file and image; ImageLimits() by default.

    Raises InputError for an address, a file that is no image, damaged or too large, and MissingDependency.
    """
    if isinstance(source, LoadedImage):
        return source
    require_pillow()
    limits = limits or ImageLimits()
    if isinstance(source, bytes):
        check_bytes(len(source), _NAMELESS, limits)
        return _from_bytes(source, _NAMELESS, limits)
    if isinstance(source, str | PathLike):
        path = source if isinstance(source, str) else Path(fspath(source))
        return _from_bytes(read_file(path, limits), shortened(str(source)), limits)
    import PIL.Image

    if isinstance(source, PIL.Image.Image):
        return _from_pillow(source, limits)
    raise InputError(f"an image is a path, bytes or a PIL image, not {type(source).__name__}; {_READABLE}")


def require_pillow() -> None:
    """Raises MissingDependency where Pillow is not installed."""
    try:
        import PIL.Image  # noqa: F401
    except ImportError as err:
        raise MissingDependency("images need Pillow: pip install 'seal-agent[vision]'") from err


def _from_bytes(data: bytes, name: str, limits: ImageLimits) -> LoadedImage:
    import PIL.Image

    header = _checked_header(data, name, limits)
    try:
        with PIL.Image.open(BytesIO(data), formats=(header.format,)) as image:
            check_size(image.size, name, limits)  # a frame of a GIF may be larger than its header says
            return _finished(image, header.format)
    except InputError:
        raise
    except (PIL.Image.DecompressionBombError, PIL.Image.DecompressionBombWarning):
        raise InputError(
            f"{name} holds a frame of more pixels than its header says, above the limit of {limits.max_pixels:,}; "
            "save it again, or give another"
        ) from None
    except Exception as err:  # Pillow's decoders raise whatever they meet in a damaged file
        raise InputError(f"{name} is damaged or cut off ({first_line(err)}); save it again, or give another") from err


def _checked_header(data: bytes, name: str, limits: ImageLimits) -> Header:
    try:
        header = read_header(data)
    except ValueError as err:
        raise InputError(f"{name} is damaged or cut off ({err}); save it again, or give another") from None
    if header is None:
        raise InputError(f"{name} is {kind_of(data)}, which cannot be read as an image; {_READABLE}")
    check_size((header.width, header.height), name, limits)
    if header.format == "JPEG" and (scans := jpeg_scans(data)) > limits.max_scans:
        raise InputError(
            f"{name} has {scans:,} scans, above the limit of {limits.max_scans}; save it again as an ordinary JPEG"
        )
    return header


def check_size(size: tuple[int, int], name: str, limits: ImageLimits) -> None:
    """Raises InputError for more pixels, or a longer side, than the limits allow."""
    width, height = size
    if width * height > limits.max_pixels:
        raise InputError(
            f"{name} has {width:,} × {height:,} pixels, above the limit of {limits.max_pixels:,}; "
            "scale it down, or raise max_pixels"
        )
    if max(size) > limits.max_side:
        raise InputError(
            f"{name} has {width:,} × {height:,} pixels, and a side may have {limits.max_side:,}; "
            "scale it down, or raise max_side"
        )


def _from_pillow(image: Image, limits: ImageLimits) -> LoadedImage:
    from PIL.ImageFile import ImageFile

    undecoded = isinstance(image, ImageFile) and bool(image.tile)
    if undecoded and image.format not in (*FORMATS, "MPO"):  # decoding may start other programs, as EPS does
        raise InputError(f"the image is a {image.format} file, which is not decoded here; {_READABLE}")
    if not image.width or not image.height:
        raise InputError("the image has no pixels; give another")
    check_size(image.size, _NAMELESS, limits)
    try:
        return _finished(image, "JPEG" if image.format == "MPO" else image.format or "")
    except Exception as err:  # as above: an image that Pillow opened is decoded only now
        raise InputError(f"the image cannot be decoded ({first_line(err)}); give it as an RGB image") from err


def _finished(image: Image, format_name: str) -> LoadedImage:
    image.load()
    rgb = turned(rgb_of(image), orientation_of(image))
    return LoadedImage(rgb, hash_of(rgb), rgb.width, rgb.height, format_name)
