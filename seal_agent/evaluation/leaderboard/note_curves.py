"""Accuracy against the tokens of notes that were written about a passage, a line for each model and recipe."""

from __future__ import annotations

from collections.abc import Sequence

from seal_agent.evaluation.leaderboard.axes import Frame, Names, axes, percent_top, picture
from seal_agent.evaluation.note_curve import CurvePoint, NoteCurve, note_curves
from seal_agent.evaluation.ranking import Ranking

LINES = 4  # kinds of lines that the style sheet tells apart; further curves repeat them


def note_curve_svg(ranking: Ranking) -> str:
    """The picture of a ranking; "" where no recipe was run with several amounts of notes."""
    curves = note_curves([row.results for row in ranking.rows])
    if not curves:
        return ""
    points = [point for curve in curves for point in curve.points]
    tokens = [point.tokens for point in points]
    frame = Frame(1.2 * max(tokens), percent_top(max(map(_percent, points))), 0.8 * min(tokens))
    names, parts = Names(), axes(frame, "tokens of notes per passage; at the points, self-edits per format")
    for number, curve in enumerate(curves):
        parts += _line(frame, curve, number % LINES, names)
    return picture(_described(curves), parts)


def _line(frame: Frame, curve: NoteCurve, kind: int, names: Names) -> list[str]:
    """The interval as a band, the means as a line, a dot for each amount, and the recipe's name at the last one."""
    above = [(frame.x(p.tokens), frame.y(_high(p))) for p in curve.points]
    below = [(frame.x(p.tokens), frame.y(_low(p))) for p in reversed(curve.points)]
    means = [(frame.x(p.tokens), frame.y(_percent(p))) for p in curve.points]
    *earlier, last = zip(curve.points, means, strict=True)
    return [
        f'<polygon class="band line{kind}" points="{_points(above + below)}"/>',
        f'<polyline class="curve line{kind}" points="{_points(means)}"/>',
        *(f'<circle class="best" cx="{x:.1f}" cy="{y:.1f}" r="4"/>' for x, y in means),
        *(names.place(*place, str(point.notes)) for point, place in earlier),
        names.place(*last[1], f"{last[0].notes} · {curve.recipe}"),
    ]


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
