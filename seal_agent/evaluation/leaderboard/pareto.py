"""Accuracy against cost, and the rows that no other row beats in both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from seal_agent.evaluation.leaderboard.axes import Frame, Names, axes, percent_top, picture
from seal_agent.evaluation.ranking import Ranking


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


def pareto_svg(points: Sequence[Point]) -> str:
    """The picture; "" for fewer than two points. The horizontal axis is logarithmic in 1 + seconds."""
    if len(points) < 2:
        return ""
    frame = Frame(max(1.0, *(p.seconds for p in points)), percent_top(max(p.percent for p in points)))
    best = front(points)
    line = " ".join(f"{frame.x(p.seconds):.1f},{frame.y(p.percent):.1f}" for p in best)
    parts = axes(frame, "seconds per passage")
    parts.append(f'<polyline class="front" points="{line}"/>')
    return picture(_described(points), parts + _dots(frame, points, best))


def _dots(frame: Frame, points: Sequence[Point], best: Sequence[Point]) -> list[str]:
    names, parts = Names(), []
    for point in sorted(points, key=lambda p: -p.percent):
        x, y = frame.x(point.seconds), frame.y(point.percent)
        kind = "best" if point in best else "beaten"
        parts.append(f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="4"/>' + names.place(x, y, point.name))
    return parts


def _described(points: Sequence[Point]) -> str:
    rows = "; ".join(f"{p.name}: {p.percent:.1f} per cent at {p.seconds:.0f} seconds" for p in points)
    return f"Accuracy against seconds per passage. {rows}"
