"""A map of two tram lines that cross, with the minutes between stations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lm_eval_tasks.seal_pictures.canvas import COLOURS, INK, Canvas
from lm_eval_tasks.seal_pictures.inventor import Invention, Inventor, colour, place, read

_THEMES = ("Trams of", "Funiculars of", "Canal boats of", "Night buses of")
_ROW, _STEP, _FIRST = 214, 104, 48
_HEIGHTS = (78, 146, _ROW, 282, 346)
_SHADES = ("red", "green", "blue", "purple", "orange", "brown", "turquoise", "pink")


def invent(inventor: Inventor, number: int) -> Invention:
    """`data`: (colour, stations, minutes between them) of each line, where they cross, and the station with a lift."""
    west, a, b, east = inventor.names(4)
    crossing, north, d, e, south = inventor.names(5)
    at = (number % 3) + 1  # the crossing's place on the line from west to east
    across = [west, a, b, east]
    across.insert(at, crossing)
    down = [north, d, crossing, e, south]
    minutes = inventor.spread(8, 11, 59, 2)
    shades = inventor.colours(2, _SHADES)
    lift = inventor.choice((d, e))
    asked = (e, south) if lift == d else (north, d)  # the pair on the other side of the crossing
    between = minutes[4 + (3 if lift == d else 0)]
    first = across.index(b)
    return Invention(
        f"{_THEMES[number]} {inventor.name()}",
        {
            "across": [shades[0], across, minutes[:4]],
            "down": [shades[1], down, minutes[4:]],
            "crossing": crossing,
            "lift": lift,
        },
        (
            place("At which stop do the two lines cross?", crossing),
            place("Which stop is the furthest west?", west),
            place("Which stop is the furthest east?", east),
            place("Which stop has a lift, shown by a square?", lift),
            read(f"How many minutes is it from {asked[0]} to {asked[1]}?", str(between), f"{between} minutes"),
            colour(f"What colour is the line on which {across[first]} lies?", shades[0]),
        ),
    )


def draw(title: str, data: Mapping[str, Any]) -> Canvas:
    canvas = Canvas()
    canvas.title(title)
    shade, across, minutes = data["across"]
    xs = [_FIRST + _STEP * i for i in range(len(across))]
    column = xs[across.index(data["crossing"])]
    down_shade, down, down_minutes = data["down"]
    canvas.line([(xs[0], _ROW), (xs[-1], _ROW)], COLOURS[shade], 9)
    canvas.line([(column, _HEIGHTS[0]), (column, _HEIGHTS[-1])], COLOURS[down_shade], 9)
    for i, time in enumerate(minutes):
        canvas.text(((xs[i] + xs[i + 1]) / 2, _ROW - 16), f"{time} min", 13, "#444444")
    for i, time in enumerate(down_minutes):
        canvas.text((column - 12, (_HEIGHTS[i] + _HEIGHTS[i + 1]) / 2), f"{time} min", 13, "#444444", "rm")
    for i, station in enumerate(across):
        _stop(canvas, (xs[i], _ROW), station, data)
        if station == data["crossing"]:
            canvas.text((xs[i] + 13, _ROW + 21), station, 15, anchor="lm")
        else:  # the next one stands lower, clear of the name beside the crossing
            lower = 18 if i and across[i - 1] == data["crossing"] else 0
            canvas.text((xs[i], _ROW + 21 + lower), station, 15)
    for y, station in zip(_HEIGHTS, down, strict=True):
        if station != data["crossing"]:
            _stop(canvas, (column, y), station, data)
            canvas.text((column + 15, y), station, 15, anchor="lm")
    canvas.box((16, 344, 30, 358), "#FFFFFF", INK, 3)
    canvas.text((38, 351), "lift", 14, anchor="lm")
    return canvas


def _stop(canvas: Canvas, centre: tuple[float, float], station: str, data: Mapping[str, Any]) -> None:
    x, y = centre
    if station == data["lift"]:
        canvas.box((x - 10, y - 10, x + 10, y + 10), "#FFFFFF", INK, 4)
    else:
        canvas.disc(centre, 11 if station == data["crossing"] else 9, "#FFFFFF", INK, 3)
