"""An instrument panel: three dials, four lamps, a counter and the maker's plate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from lm_eval_tasks.seal_pictures.canvas import COLOURS, INK, Canvas
from lm_eval_tasks.seal_pictures.inventor import Invention, Inventor, place, read

_THEMES = ("Engine panel of", "Pump house of", "Kiln controls of", "Switchboard of")
_TICKS, _RADIUS = 6, 68


def invent(inventor: Inventor, number: int) -> Invention:
    """`data`: (name, step, tick) of each dial, (name, colour) of each lamp, the lit one, the counter and the maker."""
    a, b, hot = inventor.names(3)
    lamps, maker = inventor.names(4), inventor.name()
    steps = inventor.spread(3, 12, 49, 4)
    ticks = [inventor.random.randint(1, 3), inventor.random.randint(1, 3), 4.75]
    dials = [[name, step, tick] for name, step, tick in zip((a, b, hot), steps, ticks, strict=True)]
    counter, lit = inventor.number(20_311, 98_799), inventor.choice(lamps)
    reading = {name: str(step * tick) for name, step, tick in dials[:2]}
    shades = inventor.colours(4, ("red", "orange", "green", "blue", "turquoise", "pink"))
    return Invention(
        f"{_THEMES[number]} {inventor.name()}",
        {
            "dials": inventor.shuffled(dials),
            "lamps": [list(lamp) for lamp in zip(lamps, shades, strict=True)],
            "lit": lit,
            "counter": counter,
            "maker": maker,
        },
        (
            place(f"Which number does the needle of the dial {a} point at?", reading[a]),
            place(f"Which number does the needle of the dial {b} point at?", reading[b]),
            place("Which dial has its needle in the red part?", hot),
            place("Which lamp is lit?", lit),
            read("What does the counter show?", str(counter)),
            read("Who made the panel?", maker),
        ),
    )


def draw(title: str, data: Mapping[str, Any]) -> Canvas:
    canvas = Canvas(512, 384, "#E4E7EA")
    canvas.title(title)
    for i, (name, step, tick) in enumerate(data["dials"]):
        _dial(canvas, (90 + 166 * i, 136), name, step, tick)
    for i, (name, shade) in enumerate(data["lamps"]):
        x = 66 + 127 * i
        if name == data["lit"]:
            for angle in range(0, 360, 45):
                ray = (math.cos(math.radians(angle)), math.sin(math.radians(angle)))
                canvas.line(
                    [(x + 19 * ray[0], 262 + 19 * ray[1]), (x + 27 * ray[0], 262 + 27 * ray[1])], COLOURS[shade], 3
                )
        canvas.disc((x, 262), 15, COLOURS[shade] if name == data["lit"] else "#4A4F55", INK, 2)
        canvas.fitted((x, 302), name, 15, 118)
    canvas.box((40, 330, 190, 368), "#1B1F23", INK, 2)
    canvas.text((115, 349), str(data["counter"]), 23, "#7CFC7C")
    canvas.box((260, 332, 476, 366), "#C9CDD2", INK, 1, radius=4)
    canvas.fitted((368, 349), f"made by {data['maker']}", 16, 204)
    return canvas


def _dial(canvas: Canvas, centre: tuple[float, float], name: str, step: int, tick: float) -> None:
    """A half circle with six numbers; the upper end of its scale is red."""
    x, y = centre
    canvas.shapes.pieslice((x - _RADIUS, y - _RADIUS, x + _RADIUS, y + _RADIUS), 180, 360, "#FFFFFF", INK, 2)
    edge = _RADIUS + 8
    canvas.shapes.arc((x - edge, y - edge, x + edge, y + edge), 342, 360, COLOURS["red"], 7)
    for i in range(_TICKS):
        angle = math.radians(180 + 180 * i / (_TICKS - 1))
        along = (math.cos(angle), math.sin(angle))
        canvas.line([(x + part * along[0], y + part * along[1]) for part in (_RADIUS - 9, _RADIUS)], INK, 2)
        label = (x + (_RADIUS - 22) * along[0], y + (_RADIUS - 22) * along[1] - (6 if i in (0, _TICKS - 1) else 0))
        canvas.text(label, str(step * i), 12)
    angle = math.radians(180 + 180 * tick / (_TICKS - 1))
    tip = (x + (_RADIUS - 34) * math.cos(angle), y - 4 + (_RADIUS - 34) * math.sin(angle))
    canvas.line([(x, y - 4), tip], COLOURS["red"], 4)
    canvas.disc((x, y - 4), 6, INK)
    canvas.text((x, y + 20), name, 17)
