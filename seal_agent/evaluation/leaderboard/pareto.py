"""Accuracy against cost, as an SVG of its own: no script, readable in light and dark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from seal_agent.evaluation.ranking import Ranking

WIDTH, HEIGHT = 640, 320
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 16, 48
NAME_WIDTH, LINE = 150, 14
"""Of a point's name, in the picture's units."""


@dataclass(frozen=True, slots=True)
class Point:
    """Seconds per passage, accuracy in per cent, and what the point is."""

    seconds: float
    percent: float
    name: str


def points_of(ranking: Ranking) -> list[Point]:
    """Rows whose cost is known."""
    return [
        Point(
            row.results.figures["seconds_per_passage"],
            100 * row.results.measures[row.results.primary].value,
            row.results.recipe.label,
        )
        for row in ranking.rows
        if "seconds_per_passage" in row.results.figures
    ]


def front(points: Sequence[Point]) -> list[Point]:
    """Points that no other one beats in both, cheapest first."""
    kept = [
        p
        for p in points
        if not any(
            q.seconds <= p.seconds and q.percent >= p.percent and (q.seconds, q.percent) != (p.seconds, p.percent)
            for q in points
        )
    ]
    return sorted(kept, key=lambda p: p.seconds)


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where values lie in the picture."""

    most_seconds: float
    top: float

    def x(self, seconds: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * math.log10(1 + seconds) / math.log10(1 + self.most_seconds)

    def y(self, percent: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * percent / self.top


def pareto_svg(points: Sequence[Point]) -> str:
    """The picture; "" for fewer than two points. The horizontal axis is logarithmic in 1 + seconds."""
    if len(points) < 2:
        return ""
    highest = 10 * math.ceil(max(p.percent for p in points) / 10 + 0.5)
    frame = _Frame(max(1.0, *(p.seconds for p in points)), float(min(100, highest)))
    best = front(points)
    line = " ".join(f"{frame.x(p.seconds):.1f},{frame.y(p.percent):.1f}" for p in best)
    return "".join(
        [
            f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(_described(points))}">',
            *_axes(frame),
            f'<polyline class="front" points="{line}"/>',
            *_dots(frame, points, best),
            "</svg>",
        ]
    )


def _axes(frame: _Frame) -> list[str]:
    below, middle = HEIGHT - BOTTOM, (LEFT + WIDTH - RIGHT) / 2
    ticks = [seconds for seconds in (0, 1, 10, 100, 1000, 10000) if seconds <= frame.most_seconds]
    return [
        f'<path class="axis" d="M{LEFT} {TOP}V{below}H{WIDTH - RIGHT}"/>',
        *(_label("tick", frame.x(s), below + 16, str(s), "middle") for s in ticks),
        *(_label("tick", LEFT - 6, frame.y(v) + 4, f"{v:.0f}", "end") for v in (0, frame.top / 2, frame.top)),
        _label("label", middle, HEIGHT - 8, "seconds per passage", "middle"),
        _label("label", LEFT + 6, TOP + 8, "per cent", "start"),
    ]


def _label(kind: str, x: float, y: float, text: str, anchor: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _dots(frame: _Frame, points: Sequence[Point], best: Sequence[Point]) -> list[str]:
    """The points with their names; a name that would cover another one goes below it."""
    parts, names = [], list[tuple[float, float]]()
    for point in sorted(points, key=lambda p: -p.percent):
        x, y = frame.x(point.seconds), frame.y(point.percent)
        name_y = y - 6
        while any(abs(x - other_x) < NAME_WIDTH and abs(name_y - other_y) < LINE for other_x, other_y in names):
            name_y += LINE
        names.append((x, name_y))
        parts.append(_dot(x, y, name_y, point, point in best))
    return parts


def _dot(x: float, y: float, name_y: float, point: Point, best: bool) -> str:
    anchor, shift = ("end", -8) if x > WIDTH * 0.7 else ("start", 8)
    kind = "best" if best else "beaten"
    dot = f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="4"/>'
    return dot + _label("name", x + shift, name_y, point.name, anchor)


def _described(points: Sequence[Point]) -> str:
    rows = "; ".join(f"{p.name}: {p.percent:.1f} per cent at {p.seconds:.0f} seconds" for p in points)
    return f"Accuracy against seconds per passage. {rows}"
