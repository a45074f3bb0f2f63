"""A bar chart: six bars, each with a name, a value and a colour."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lm_eval_tasks.seal_pictures.canvas import COLOURS, FAINT, Canvas
from lm_eval_tasks.seal_pictures.inventor import Invention, Inventor, colour, compare, place, read

_THEMES = (
    ("Honey stalls of", "jars of honey sold", "stall"),
    ("Museum halls of", "visitors", "hall"),
    ("Salt quays of", "tonnes of salt unloaded", "quay"),
    ("Fog beacons of", "hours of fog", "beacon"),
)
_LEFT, _RIGHT, _TOP, _BOTTOM, _MOST = 48, 502, 74, 340, 1000


def invent(inventor: Inventor, number: int) -> Invention:
    """`data`: the unit, and (name, value, colour) of each bar from left to right."""
    opening, unit, what = _THEMES[number]
    names, colours = inventor.names(6), inventor.colours(6)
    values = sorted(inventor.spread(6, 120, 960, 35))
    low, *others, high = values
    a, b, tallest, shortest, e, f = names
    of = {tallest: high, shortest: low} | dict(zip((a, b, e, f), inventor.shuffled(others), strict=True))
    shades = dict(zip(names, colours, strict=True))
    return Invention(
        f"{opening} {inventor.name()}",
        {"unit": unit, "bars": [[name, of[name], shades[name]] for name in inventor.shuffled(names)]},
        (
            read(f"Which number of {unit} does the chart give for {a}?", str(of[a])),
            read(f"Which number of {unit} does the chart give for {b}?", str(of[b])),
            compare(f"Which {what} has the tallest bar?", tallest),
            compare(f"Which {what} has the shortest bar?", shortest),
            colour(f"What colour is the bar of {e}?", shades[e]),
            place(f"Which {what} has the {shades[f]} bar?", f),
        ),
    )


def draw(title: str, data: Mapping[str, Any]) -> Canvas:
    canvas = Canvas()
    canvas.title(title)
    canvas.text((12, 52), data["unit"], 14, FAINT, "lm")
    for tick in range(0, _MOST + 1, 200):
        y = _height(tick)
        canvas.line([(_LEFT, y), (_RIGHT, y)], "#D8D8D8")
        canvas.text((_LEFT - 6, y), str(tick), 12, FAINT, "rm")
    step = (_RIGHT - _LEFT) / len(data["bars"])
    for i, (name, value, shade) in enumerate(data["bars"]):
        middle = _LEFT + step * (i + 0.5)
        canvas.box((middle - 22, _height(value), middle + 22, _BOTTOM), COLOURS[shade], "#333333")
        canvas.text((middle, _height(value) - 12), str(value), 15, halo="#FFFFFF")
        canvas.fitted((middle, _BOTTOM + 18), name, 15, step - 4)
    return canvas


def _height(value: float) -> float:
    return _BOTTOM - (_BOTTOM - _TOP) * value / _MOST
