"""Accuracy against cost, as an SVG of its own: no script, readable in light and dark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from seal_agent.evaluation.ranking import Ranking

WIDTH, HEIGHT = 640, 320
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 16, 48


@dataclass(frozen=True, slots=True)
class Point:
    """Seconds per passage, accuracy in per cent, and what the point is."""

    seconds: float
    percent: float
    name: str


def points_of(ranking: Ranking) -> list[Point]:
    """Rows whose cost is known."""
    return [
        Point(row.results.figures["seconds_per_passage"], 100 * row.results.measures[row.results.primary].value, row.results.recipe.label)
        for row in ranking.rows
        if "seconds_per_passage" in row.results.figures and row.results.primary in row.results.measures
    ]  # fmt: skip


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


def pareto_svg(points: Sequence[Point]) -> str:
    """The picture; "" for fewer than two points. The horizontal axis is logarithmic in 1 + seconds."""
    if len(points) < 2:
        return ""
    most = max(1.0, *(p.seconds for p in points))
    top = min(100.0, 10 * math.ceil(max(p.percent for p in points) / 10 + 0.5))
    x = lambda s: LEFT + (WIDTH - LEFT - RIGHT) * math.log10(1 + s) / math.log10(1 + most)  # noqa: E731
    y = lambda v: HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * v / max(top, 1)  # noqa: E731
    best = front(points)
    line = " ".join(f"{x(p.seconds):.1f},{y(p.percent):.1f}" for p in best)
    ticks = [s for s in (0, 1, 10, 100, 1000, 10000) if s <= most]
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(_described(points))}">',
        f'<path class="axis" d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}"/>',
        *(f'<text class="tick" x="{x(s):.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{s}</text>' for s in ticks),
        *(f'<text class="tick" x="{LEFT - 6}" y="{y(v) + 4:.1f}" text-anchor="end">{v:.0f}</text>' for v in (0, top / 2, top)),
        f'<text class="label" x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">seconds per passage</text>',
        f'<text class="label" transform="translate(14 {HEIGHT / 2 - 12}) rotate(-90)" text-anchor="middle">per cent</text>',
        f'<polyline class="front" points="{line}"/>',
        *(_dot(x(p.seconds), y(p.percent), p, p in best) for p in points),
        "</svg>",
    ]  # fmt: skip
    return "".join(parts)


def _dot(x: float, y: float, point: Point, best: bool) -> str:
    anchor, shift = ("end", -8) if x > WIDTH * 0.7 else ("start", 8)
    kind = "best" if best else "beaten"
    return (
        f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="4"/>'
        f'<text class="name" x="{x + shift:.1f}" y="{y - 6:.1f}" text-anchor="{anchor}">{escape(point.name)}</text>'
    )


def _described(points: Sequence[Point]) -> str:
    rows = "; ".join(f"{p.name}: {p.percent:.1f} per cent at {p.seconds:.0f} seconds" for p in points)
    return f"Accuracy against seconds per passage. {rows}"
