"""A picture that is being drawn: shapes, and text in Pillow's bundled font, of which the place is remembered."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

if TYPE_CHECKING:
    from PIL.Image import Image

Point = tuple[float, float]
Box = tuple[float, float, float, float]

PAPER, INK, FAINT = "#FFFFFF", "#1C1C1C", "#8A8A8A"
COLOURS = {
    "red": "#D3222A",
    "orange": "#FF8A12",
    "yellow": "#F5D000",
    "green": "#1F9D45",
    "turquoise": "#1CC4C4",
    "blue": "#1D5FD0",
    "purple": "#7A35B5",
    "pink": "#F78FC0",
    "brown": "#7F4F24",
    "grey": "#8F8F8F",
}
"""Colours that questions name, far enough from each other to be told apart."""

DARK = ("red", "green", "blue", "purple", "brown")
"""Those on which white text can be read."""

_SMALLEST = 12  # of a text that is made to fit


@functools.cache
def _font(size: int) -> PIL.ImageFont.FreeTypeFont:
    font = PIL.ImageFont.load_default(size)
    if not isinstance(font, PIL.ImageFont.FreeTypeFont):
        raise RuntimeError("Pillow was built without FreeType; install Pillow's own wheel")
    return font


@dataclass(frozen=True, slots=True)
class DrawnText:
    """A text in a picture, and the box of its pixels: left, top, right, bottom."""

    text: str
    box: Box


class Canvas:
    """An RGB picture that is being drawn. Text has ASCII letters only, which is what the font has."""

    def __init__(self, width: int = 512, height: int = 384, background: str = PAPER) -> None:
        self.image: Image = PIL.Image.new("RGB", (width, height), background)
        self.texts: list[DrawnText] = []
        self.shapes = PIL.ImageDraw.Draw(self.image)

    @property
    def width(self) -> int:
        return self.image.width

    @property
    def height(self) -> int:
        return self.image.height

    def text(
        self, place: Point, text: str, size: int = 15, colour: str = INK, anchor: str = "mm", halo: str = ""
    ) -> None:
        """Write one line. The anchor is Pillow's: "lt", "mm", "rs" and so on; a halo sets it off from lines."""
        font = _font(size)
        self.texts.append(DrawnText(text, self.shapes.textbbox(place, text, font=font, anchor=anchor)))
        stroke = {"stroke_width": 3, "stroke_fill": halo} if halo else {}
        self.shapes.text(place, text, fill=colour, font=font, anchor=anchor, **stroke)

    def fitted(self, place: Point, text: str, size: int, width: float, colour: str = INK, anchor: str = "mm") -> None:
        """Write one line, smaller if it would be wider than `width`."""
        while size > _SMALLEST and self.width_of(text, size) > width:
            size -= 1
        self.text(place, text, size, colour, anchor)

    def title(self, text: str, colour: str = INK) -> None:
        """Write the title across the top."""
        self.fitted((self.width / 2, 22), text, 21, self.width - 24, colour)

    def width_of(self, text: str, size: int) -> float:
        return _font(size).getlength(text)

    def box(
        self, box: Box, fill: str | None = None, outline: str | None = None, width: int = 1, radius: int = 0
    ) -> None:
        self.shapes.rounded_rectangle(box, radius, fill, outline, width)

    def line(self, points: Sequence[Point], colour: str = INK, width: int = 1) -> None:
        self.shapes.line(list(points), fill=colour, width=width, joint="curve")

    def disc(self, centre: Point, radius: float, fill: str | None, outline: str | None = None, width: int = 1) -> None:
        x, y = centre
        self.shapes.ellipse((x - radius, y - radius, x + radius, y + radius), fill, outline, width)

    def dashed(self, start: Point, end: Point, colour: str = INK, width: int = 2, dash: float = 8) -> None:
        """A dashed line."""
        (x, y), (to_x, to_y) = start, end
        length = max(1e-9, ((to_x - x) ** 2 + (to_y - y) ** 2) ** 0.5)
        at = 0.0
        while at < length:
            stop = min(at + dash, length)
            ends = [(x + (to_x - x) * part / length, y + (to_y - y) * part / length) for part in (at, stop)]
            self.line(ends, colour, width)
            at += 2 * dash
