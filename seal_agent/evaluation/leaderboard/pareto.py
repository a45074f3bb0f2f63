"""Accuracy against cost, and the rows that no other row beats in both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from seal_agent.evaluation.leaderboard.axes import Frame, Names, axes, dot, named, percent_top, picture
from seal_agent.evaluation.leaderboard.standings import Standings


@dataclass(frozen=True, slots=True)
class Point:
    """Seconds per passage, accuracy in per cent, and what the point is."""

    seconds: float
    percent: float
    name: str


def points_of(board: Standings) -> list[Point]:
    """Ranked rows whose cost is known; where they are of several models, their names have the model's."""
    rows = [row.results for row in board.rows if row.complete and "seconds_per_passage" in row.results.figures]
    several = len({row.model.identity for row in rows}) > 1
    return [
        Point(
            row.figures["seconds_per_passage"],
            100 * row.measures[row.primary].value,
            named(row.recipe.label, row.model.name if several else ""),
        )
        for row in rows
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
    """A dot for each point and its name, those on the front first; names that find no place are in the dots' titles."""
    names = Names([(frame.x(point.seconds), frame.y(point.percent)) for point in points])
    parts = []
    for point in sorted(points, key=lambda p: (p not in best, -p.percent)):
        x, y = frame.x(point.seconds), frame.y(point.percent)
        parts.append(dot("best" if point in best else "beaten", x, y, point.name) + names.place(x, y, point.name))
    return parts


def _described(points: Sequence[Point]) -> str:
    rows = "; ".join(f"{p.name}: {p.percent:.1f} per cent at {p.seconds:.0f} seconds" for p in points)
    return f"Accuracy against seconds per passage. {rows}"
