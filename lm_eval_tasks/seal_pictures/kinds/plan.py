"""A floor plan: five rooms to scale on two sides of a corridor, with who lives in each."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from lm_eval_tasks.seal_pictures.canvas import COLOURS, INK, Canvas
from lm_eval_tasks.seal_pictures.inventor import Invention, Inventor, compare, place, read

_THEMES = ("Boarding house at", "Hunting lodge of", "Keeper's cottage at", "Students' hall of")
_LEFT, _RIGHT, _TOP, _BOTTOM = 22, 440, 52, 366
_CORRIDOR = 40  # its height
_METRES = 0.031  # a pixel


def invent(inventor: Inventor, number: int) -> Invention:
    """`data`: the corridor's top and width, (name, left, right, upper row?) of each room, whose the table is."""
    first, second, middle = inventor.names(3)
    large, table = inventor.names(2)
    upper_has_two = number % 2 == 0
    corridor, two, three = _walls(inventor, upper_has_two)
    wide = two[1] - two[0] > two[2] - two[1]
    row_two = [large, second] if wide else [second, large]
    row_three = inventor.shuffled([first, table])
    row_three.insert(1, middle)
    rooms = [[name, two[i], two[i + 1], upper_has_two] for i, name in enumerate(row_two)]
    rooms += [[name, three[i], three[i + 1], not upper_has_two] for i, name in enumerate(row_three)]
    side, other = ("north", "south") if upper_has_two else ("south", "north")
    corner = f"{side}-{'east' if wide else 'west'}"
    data = {"corridor": corridor, "width": f"{inventor.number(121, 189) / 100:.2f}", "rooms": rooms, "table": table}
    return Invention(
        f"{_THEMES[number]} {inventor.name()}",
        data,
        (
            read(f"How many square metres has the room of {first}?", area_of(data, first)),
            place(f"Whose room is in the {corner} corner of the house?", second),
            place(f"Whose room lies between two others on the {other} side?", middle),
            compare("Whose room is the largest?", large),
            place("In whose room does the round table stand?", table),
            read("How many metres wide is the corridor?", f"{data['width']} m", f"{data['width']} metres"),
        ),
    )


def _walls(inventor: Inventor, upper_has_two: bool) -> tuple[int, list[int], list[int]]:
    """Where the corridor begins, and the walls across of the rows of two and of three rooms.

    One room is clearly the largest, in the row of two, and no two are of the same size.
    """
    while True:
        corridor = inventor.random.randint(178, 200)
        two = [_LEFT, inventor.random.randint(170, 290), _RIGHT]
        three = [_LEFT, inventor.random.randint(130, 170), inventor.random.randint(275, 325), _RIGHT]
        heights = (corridor - _TOP, _BOTTOM - corridor - _CORRIDOR)[:: 1 if upper_has_two else -1]
        areas = [(b - a) * height for row, height in zip((two, three), heights, strict=True) for a, b in pairwise(row)]
        ordered = sorted(area * _METRES**2 for area in areas)
        clear = ordered[-1] - ordered[-2] > 1.5 and max(areas) in areas[:2]
        if clear and all(b - a > 0.2 for a, b in pairwise(ordered)):
            return corridor, two, three


def area_of(data: Mapping[str, Any], name: str) -> str:
    """A room's square metres, as they are written into it."""
    left, top, right, bottom = next(_room(data, room) for room in data["rooms"] if room[0] == name)
    return f"{(right - left) * (bottom - top) * _METRES**2:.1f}"


def _room(data: Mapping[str, Any], room: list[Any]) -> tuple[int, int, int, int]:
    _, left, right, upper = room
    return (left, _TOP, right, data["corridor"]) if upper else (left, data["corridor"] + _CORRIDOR, right, _BOTTOM)


def draw(title: str, data: Mapping[str, Any]) -> Canvas:
    canvas = Canvas()
    canvas.title(title)
    top = data["corridor"]
    canvas.box((_LEFT, _TOP, _RIGHT, _BOTTOM), "#EFE8DA", INK, 4)
    canvas.text(((_LEFT + _RIGHT) / 2, top + _CORRIDOR / 2), f"corridor, {data['width']} m wide", 14, "#555555")
    for room in data["rooms"]:
        left, upper, right, lower = _room(data, room)
        middle, centre = (left + right) / 2, (upper + lower) / 2
        canvas.box((left, upper, right, lower), "#FFFFFF", INK, 4)
        wall = lower if room[3] else upper
        canvas.box((right - 44, wall - 2, right - 16, wall + 2), "#EFE8DA")
        canvas.fitted((middle, centre - 26), room[0], 17, right - left - 14)
        canvas.text((middle, centre - 4), f"{area_of(data, room[0])} sq m", 14, "#444444")
        if room[0] == data["table"]:
            canvas.disc((middle - 10, centre + 32), 16, COLOURS["brown"], INK)
    canvas.shapes.polygon([(476, 62), (490, 104), (476, 94), (462, 104)], fill=INK)
    canvas.text((476, 120), "N", 18)
    return canvas
