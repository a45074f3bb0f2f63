"""Accuracy against the tokens of notes that were written about a passage, a line for each model and recipe."""

from __future__ import annotations

from collections.abc import Sequence

from seal_agent.evaluation.leaderboard.axes import Frame, Names, axes, dot, named, percent_top, picture
from seal_agent.evaluation.leaderboard.standings import Standings
from seal_agent.evaluation.note_curve import CurvePoint, NoteCurve, note_curves

ACROSS = "tokens of notes per passage; at the points, self-edits per format"
LINES = 4  # kinds of lines that the style sheet tells apart; further curves repeat them


def note_curve_svg(board: Standings) -> str:
    """The picture of rows that lack nothing; "" where no recipe was run with several amounts of notes."""
    curves = note_curves([row.results for row in board.rows if row.complete])
    if not curves:
        return ""
    points = [point for curve in curves for point in curve.points]
    tokens = [point.tokens for point in points]
    frame = Frame(max(1.0, 1.2 * max(tokens)), percent_top(max(map(_percent, points))), 0.8 * min(tokens))
    names, parts = Names([_place(frame, point) for point in points]), axes(frame, ACROSS)
    several = len({curve.model for curve in curves}) > 1
    for number, curve in enumerate(curves):
        parts += _line(frame, curve, number % LINES)
    for curve in curves:  # what a line is matters more than the amounts on it
        last, name = curve.points[-1], named(curve.recipe, curve.model if several else "")
        parts.append(names.place(*_place(frame, last), f"{last.notes} · {name}"))
    for point in (point for curve in curves for point in curve.points[:-1]):
        parts.append(names.place(*_place(frame, point), str(point.notes)))
    return picture(_described(curves), parts)


def _line(frame: Frame, curve: NoteCurve, kind: int) -> list[str]:
    """The interval as a band, the means as a line, and a dot for each amount."""
    above = [(frame.x(p.tokens), frame.y(_high(p))) for p in curve.points]
    below = [(frame.x(p.tokens), frame.y(_low(p))) for p in reversed(curve.points)]
    means = [_place(frame, p) for p in curve.points]
    name = named(curve.recipe, curve.model)
    return [
        f'<polygon class="band line{kind}" points="{_points(above + below)}"/>',
        f'<polyline class="curve line{kind}" points="{_points(means)}"/>',
        *(dot("best", *_place(frame, p), f"{p.notes} · {name}") for p in curve.points),
    ]


def _place(frame: Frame, point: CurvePoint) -> tuple[float, float]:
    return frame.x(point.tokens), frame.y(_percent(point))


def _points(places: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)


def _percent(point: CurvePoint) -> float:
    return 100 * point.measure.value


def _high(point: CurvePoint) -> float:
    return 100 * (point.measure.value if point.measure.high is None else point.measure.high)


def _low(point: CurvePoint) -> float:
    return 100 * (point.measure.value if point.measure.low is None else point.measure.low)


def _described(curves: Sequence[NoteCurve]) -> str:
    rows = "; ".join(
        f"{curve.recipe} with {curve.model}: "
        + ", ".join(f"{_percent(point):.1f} per cent at {point.tokens:.0f} tokens" for point in curve.points)
        for curve in curves
    )
    return f"Accuracy against tokens of notes per passage. {rows}"
