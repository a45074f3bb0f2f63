"""Axes of the board's pictures: SVG of its own, no script, readable in light and dark."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from xml.sax.saxutils import escape, quoteattr

WIDTH, HEIGHT = 640, 320
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 32, 48
INSET = 14  # between the vertical axis and the least value, so that no dot lies on a tick
LETTER, LINE = 10.5, 18.0
"""Mean width of a letter and height of a line, in the picture's units, in the larger letters of narrow screens."""
LONGEST = 36
"""Letters of a name beside a point; longer names lose their middle."""
LINES_AWAY = 2
"""How far from its point a name may stand."""
TICK_GAP = 12.0


@dataclass(frozen=True, slots=True)
class Frame:
    """Where values lie in the picture. The horizontal axis is logarithmic in 1 + value, from `least` to `most`."""

    most: float
    top: float
    least: float = 0.0

    def x(self, value: float) -> float:
        low, high = math.log10(1 + self.least), math.log10(1 + self.most)
        return LEFT + INSET + (WIDTH - LEFT - INSET - RIGHT) * (math.log10(1 + value) - low) / (high - low)

    def y(self, percent: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * percent / self.top


def percent_top(highest: float) -> float:
    """The upper end of an axis in per cent, a multiple of twenty above the highest value."""
    return float(min(100, 20 * math.ceil(highest / 20 + 0.25)))


def axes(frame: Frame, across: str) -> list[str]:
    """Both axes with ticks; `across` names the horizontal one."""
    below, middle = HEIGHT - BOTTOM, (LEFT + WIDTH - RIGHT) / 2
    return [
        *(f'<path class="grid" d="M{LEFT} {frame.y(v):.1f}H{WIDTH - RIGHT}"/>' for v in _quarters(frame.top)[1:]),
        f'<path class="axis" d="M{LEFT} {TOP}V{below}H{WIDTH - RIGHT}"/>',
        *(label("tick", frame.x(tick), below + 16, _number(tick), "middle") for tick in ticks(frame)),
        *(label("tick", LEFT - 6, frame.y(v) + 4, f"{v:.0f}", "end") for v in _quarters(frame.top)),
        label("label", middle, HEIGHT - 8, across, "middle"),
        label("label", LEFT - 40, TOP - 12, "per cent", "start"),
    ]


def ticks(frame: Frame) -> list[float]:
    """Round values of the horizontal axis whose numbers do not touch; powers of ten go first."""
    round_values = _steps(frame.most)
    found = [value for value in (0.0, *round_values) if frame.least <= value <= frame.most]
    if len(found) < 3:  # so narrow a range that even spacing is near
        multiples = ([step * n for n in _multiples(frame, step)] for step in reversed(round_values))
        found = next((values for values in multiples if len(values) >= 3), found)
    kept: list[float] = []
    for value in sorted(found, key=lambda value: (not _is_power(value), value)):
        half = LETTER * len(_number(value)) / 2
        if all(
            abs(frame.x(value) - frame.x(other)) >= half + LETTER * len(_number(other)) / 2 + TICK_GAP for other in kept
        ):
            kept.append(value)
    return sorted(kept)


def _steps(most: float) -> list[float]:
    """1, 2 and 5 times the powers of ten up to a value, from a millionth of it."""
    highest = math.floor(math.log10(most))
    return [digit * 10.0**power for power in range(highest - 6, highest + 1) for digit in (1, 2, 5)]


def _multiples(frame: Frame, step: float) -> range:
    return range(math.ceil(frame.least / step), math.floor(frame.most / step) + 1)


def _is_power(value: float) -> bool:
    return value == 0 or math.log10(value).is_integer()


def _number(value: float) -> str:
    return f"{value:,.10g}"


def _quarters(top: float) -> list[float]:
    return [top * quarter / 4 for quarter in range(5)]


def label(kind: str, x: float, y: float, text: str, anchor: str) -> str:
    """A text at a place; `kind` is its class."""
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def dot(kind: str, x: float, y: float, name: str) -> str:
    """A point, with its whole name for the pointer."""
    return f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="4"><title>{escape(name)}</title></circle>'


def named(recipe: str, model: str) -> str:
    """What a point or a line is, with the model's name, but for its owner's, where one is given."""
    return f"{recipe} · {model.rpartition('/')[2]}" if model else recipe


def picture(description: str, parts: list[str]) -> str:
    """The SVG, with what it shows for those who do not see it."""
    head = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label={quoteattr(description)}>'
    return "".join([head, *parts, "</svg>"])


class Box(NamedTuple):
    """Where a text or a dot lies in the picture."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: Box) -> bool:
        across = self.left < other.right and other.left < self.right
        return across and self.top < other.bottom and other.top < self.bottom


def shortened(name: str) -> str:
    """A name of at most `LONGEST` letters: its beginning and its end, which tell names apart."""
    tail = LONGEST // 3
    return name if len(name) <= LONGEST else f"{name[: LONGEST - tail - 1].rstrip()}…{name[-tail:].lstrip()}"


class Names:
    """Places names beside points: inside the axes, clear of each other and of all dots, or not at all.

    Args:
        dots: The points of the picture.
    """

    def __init__(self, dots: Sequence[tuple[float, float]]) -> None:
        self._taken = [Box(x - 5, y - 5, x + 5, y + 5) for x, y in dots]

    def place(self, x: float, y: float, text: str) -> str:
        """The name of the point at (x, y), with a line to it where it is not beside it; "" without a place."""
        name = shortened(text)
        for box, anchor in _places(x, y, LETTER * len(name)):
            if _inside(box) and not any(box.meets(other) for other in self._taken):
                self._taken.append(box)
                return _leader(x, y, box) + label("name", getattr(box, anchor), box.bottom - 5, name, _ANCHOR[anchor])
        return ""


_ANCHOR = {"left": "start", "right": "end"}


def _places(x: float, y: float, width: float) -> Iterator[tuple[Box, str]]:
    """Boxes for a name of the point, the nearest first, and the side at which the text begins."""
    beside = min(y - 4, HEIGHT - BOTTOM - LINE / 2)
    for lines in range(LINES_AWAY + 1):
        for middle in dict.fromkeys((beside - lines * LINE, beside + lines * LINE)):
            top, bottom = middle - LINE / 2, middle + LINE / 2
            yield Box(x + 8, top, x + 8 + width, bottom), "left"
            yield Box(x - 8 - width, top, x - 8, bottom), "right"


def _inside(box: Box) -> bool:
    return box.left >= LEFT + 2 and box.right <= WIDTH and box.top >= TOP - 6 and box.bottom <= HEIGHT - BOTTOM


def _leader(x: float, y: float, box: Box) -> str:
    """A line from a point to a name that stands more than a line above or below it."""
    middle = (box.top + box.bottom) / 2
    if abs(middle - y) < LINE:
        return ""
    side = box.left if box.left > x else box.right
    return f'<path class="leader" d="M{x:.1f} {y:.1f}L{side:.1f} {middle:.1f}"/>'
