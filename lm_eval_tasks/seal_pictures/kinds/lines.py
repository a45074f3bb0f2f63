"""A line chart: seven years with a figure each, a dashed mark, and who recorded it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lm_eval_tasks.seal_pictures.canvas import COLOURS, FAINT, Canvas
from lm_eval_tasks.seal_pictures.inventor import Invention, Inventor, compare, place, read

_THEMES = (
    ("River gauge at", "water level in centimetres", "water level"),
    ("Lamp oil of the lighthouse at", "litres of oil burnt", "amount of oil"),
    ("Wool fair of", "bales of wool sold", "number of bales"),
    ("Bell tower of", "visitors to the tower", "number of visitors"),
)
_LEFT, _RIGHT, _TOP, _BOTTOM, _MOST = 24, 470, 96, 320, 1000


def invent(inventor: Inventor, number: int) -> Invention:
    """`data`: the unit, who recorded, the colour, the mark, and (year, value) from left to right."""
    opening, unit, what = _THEMES[number]
    years = sorted(inventor.spread(7, 1803, 1899, 3))
    values = inventor.spread(7, 130, 930, 45)
    points = list(zip(years, values, strict=True))
    highest, lowest = max(points, key=lambda p: p[1])[0], min(points, key=lambda p: p[1])[0]
    (year_a, value_a), (year_b, value_b) = inventor.shuffled([p for p in points if p[0] not in (highest, lowest)])[:2]
    mark, recorder = inventor.number(300, 700), inventor.name()
    return Invention(
        f"{opening} {inventor.name()}",
        {
            "unit": unit,
            "by": recorder,
            "mark": mark,
            "colour": inventor.colours(1, ("red", "blue", "green"))[0],
            "points": points,
        },
        (
            read(f"What was the {what} in {year_a}?", str(value_a)),
            read(f"What was the {what} in {year_b}?", str(value_b)),
            compare(f"In which year was the {what} at its highest?", str(highest)),
            compare(f"In which year was the {what} at its lowest?", str(lowest)),
            read("Who recorded the figures of the chart?", recorder),
            place("At which figure does the dashed line of the chart stand?", str(mark)),
        ),
    )


def draw(title: str, data: Mapping[str, Any]) -> Canvas:
    canvas = Canvas()
    canvas.title(title)
    canvas.text((12, 52), data["unit"], 14, FAINT, "lm")
    canvas.text((500, 52), f"recorded by {data['by']}", 14, anchor="rm")
    canvas.line([(_LEFT, _TOP - 14), (_LEFT, _BOTTOM + 12), (_RIGHT, _BOTTOM + 12)], FAINT, 2)
    mark = _height(data["mark"])
    canvas.dashed((_LEFT, mark), (_RIGHT, mark), "#555555")
    step = (_RIGHT - _LEFT - 52) / (len(data["points"]) - 1)
    places = [(_LEFT + 28 + step * i, _height(value)) for i, (_, value) in enumerate(data["points"])]
    canvas.line(places, COLOURS[data["colour"]], 3)
    for (x, y), (year, value) in zip(places, data["points"], strict=True):
        canvas.disc((x, y), 5, COLOURS[data["colour"]], "#333333")
        canvas.text((x, y - 15), str(value), 15, halo="#FFFFFF")
        canvas.text((x, _BOTTOM + 28), str(year), 15)
    canvas.text((_RIGHT + 6, mark), str(data["mark"]), 15, "#555555", "lm")
    return canvas


def _height(value: float) -> float:
    return _BOTTOM - (_BOTTOM - _TOP) * value / _MOST
