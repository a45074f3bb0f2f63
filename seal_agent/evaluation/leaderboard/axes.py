"""Axes of the board's pictures: SVG of its own, no script, readable in light and dark."""

from __future__ import annotations

import math
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

WIDTH, HEIGHT = 640, 320
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 32, 48
INSET = 14  # between the vertical axis and the least value, so that no dot lies on a tick
NAME_WIDTH, LINE = 240, 18
"""Of a point's name, in the picture's units; narrow screens show it larger."""


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
    ticks = [tick for tick in (0, 1, 10, 100, 1000, 10000, 100000) if frame.least <= tick <= frame.most]
    return [
        *(f'<path class="grid" d="M{LEFT} {frame.y(v):.1f}H{WIDTH - RIGHT}"/>' for v in _quarters(frame.top)[1:]),
        f'<path class="axis" d="M{LEFT} {TOP}V{below}H{WIDTH - RIGHT}"/>',
        *(label("tick", frame.x(tick), below + 16, f"{tick:,}", "middle") for tick in ticks),
        *(label("tick", LEFT - 6, frame.y(v) + 4, f"{v:.0f}", "end") for v in _quarters(frame.top)),
        label("label", middle, HEIGHT - 8, across, "middle"),
        label("label", LEFT - 40, TOP - 12, "per cent", "start"),
    ]


def _quarters(top: float) -> list[float]:
    return [top * quarter / 4 for quarter in range(5)]


def label(kind: str, x: float, y: float, text: str, anchor: str) -> str:
    """A text at a place; `kind` is its class."""
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def picture(description: str, parts: list[str]) -> str:
    """The SVG, with what it shows for those who do not see it."""
    head = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label={quoteattr(description)}>'
    return "".join([head, *parts, "</svg>"])


class Names:
    """Places names beside points; a name that would cover another one goes below it, or above at the lower end."""

    def __init__(self) -> None:
        self._taken: list[tuple[float, float]] = []

    def place(self, x: float, y: float, text: str) -> str:
        """The name of the point at (x, y)."""
        name_y, step = y - 6, LINE if y < (TOP + HEIGHT - BOTTOM) / 2 else -LINE
        while any(abs(x - other_x) < NAME_WIDTH and abs(name_y - other_y) < LINE for other_x, other_y in self._taken):
            name_y += step
        self._taken.append((x, name_y))
        anchor, shift = ("end", -8) if x > WIDTH * 0.7 else ("start", 8)
        return label("name", x + shift, name_y, text, anchor)
