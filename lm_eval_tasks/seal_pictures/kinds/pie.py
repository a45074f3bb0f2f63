"""A pie chart: five slices with their shares, a legend with their names, and the total."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from lm_eval_tasks.seal_pictures.canvas import COLOURS, Canvas
from lm_eval_tasks.seal_pictures.inventor import Invention, Inventor, colour, compare, place, read

_THEMES = (
    ("Pear harvest around", "crates of pears", "orchard"),
    ("Book loans of", "books lent", "branch"),
    ("Stone from the quarries of", "carts of stone", "quarry"),
    ("Votes in the council of", "votes counted", "list"),
)
_CENTRE, _RADIUS = (165, 208), 142


def invent(inventor: Inventor, number: int) -> Invention:
    """`data`: the unit, the total, and (name, per cent, colour) of each slice, clockwise from the top."""
    opening, unit, what = _THEMES[number]
    names, shades = inventor.names(5), inventor.colours(5)
    while True:
        shares = inventor.random.sample(range(8, 45), 4)
        shares.append(100 - sum(shares))
        if 8 <= shares[-1] < 45 and len({*shares}) == 5 and sorted(shares)[-1] - sorted(shares)[-2] > 3:
            break
    shares.sort()
    a, b, largest, d, e = names
    of = {largest: shares.pop()} | dict(zip((a, b, d, e), inventor.shuffled(shares), strict=True))
    shade = dict(zip(names, shades, strict=True))
    total = inventor.number(1_100, 9_800)
    return Invention(
        f"{opening} {inventor.name()}",
        {"unit": unit, "total": total, "slices": [[name, of[name], shade[name]] for name in inventor.shuffled(names)]},
        (
            read(f"What share of the chart is {a}'s, in per cent?", f"{of[a]} %", f"{of[a]} percent"),
            read(f"What share of the chart is {b}'s, in per cent?", f"{of[b]} %", f"{of[b]} percent"),
            compare(f"Which {what} has the largest slice?", largest),
            colour(f"What colour is the slice of {d}?", shade[d]),
            place(f"Which {what} has the {shade[e]} slice?", e),
            read(f"How many {unit} are there in all?", f"{total:,}", str(total)),
        ),
    )


def draw(title: str, data: Mapping[str, Any]) -> Canvas:
    canvas = Canvas()
    canvas.title(title)
    (x, y), start = _CENTRE, -90.0
    for i, (name, share, shade) in enumerate(data["slices"]):
        end = start + 3.6 * share
        canvas.shapes.pieslice(
            (x - _RADIUS, y - _RADIUS, x + _RADIUS, y + _RADIUS), start, end, COLOURS[shade], "#FFFFFF", 2
        )
        angle = math.radians((start + end) / 2)
        inner = (x + 0.68 * _RADIUS * math.cos(angle), y + 0.68 * _RADIUS * math.sin(angle))
        width = canvas.width_of(f"{share} %", 15) / 2 + 4
        canvas.box((inner[0] - width, inner[1] - 10, inner[0] + width, inner[1] + 10), "#FFFFFF", radius=6)
        canvas.text(inner, f"{share} %", 15)
        row = 110 + 40 * i
        canvas.box((345, row - 11, 367, row + 11), COLOURS[shade], "#333333")
        canvas.text((378, row), name, 18, anchor="lm")
        start = end
    canvas.text((345, 322), f"{data['total']:,}", 20, anchor="lm")
    canvas.text((345, 346), data["unit"], 15, anchor="lm")
    return canvas
