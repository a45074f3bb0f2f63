"""A chart of an organisation: one head, two below, five below these, each with the number of a room."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from lm_eval_tasks.seal_pictures.canvas import FAINT, INK, Canvas
from lm_eval_tasks.seal_pictures.inventor import Invention, Inventor, place, read

_THEMES = ("Observatory of", "Orchestra of", "Archive of", "Weather office of")
_WIDTH, _HEIGHT = 92, 50


def invent(inventor: Inventor, number: int) -> Invention:
    """`data`: (name, room) of the head, of the two below, and of those below the first and the second; who is away."""
    head, first, second = inventor.names(3)
    left = inventor.names(2 if number % 2 == 0 else 3)
    right = inventor.names(5 - len(left))
    people = [head, first, second, *left, *right]
    rooms = dict(zip(people, inventor.spread(8, 102, 798, 7), strict=True))
    asked, partner = left[0], left[1]
    others = inventor.shuffled([*left[2:], *right])
    away, roomed = others[0], others[1]
    groups = [[[name, rooms[name]] for name in group] for group in ([head], [first, second], left, right)]
    return Invention(
        f"{_THEMES[number]} {inventor.name()}",
        {"groups": groups, "away": away},
        (
            place("Who is at the top of the chart?", head),
            place(f"Who is directly above {asked} in the chart?", first),
            place(f"Who stands directly to the right of {asked} in the chart?", partner),
            read(f"In which room does {roomed} work?", str(rooms[roomed])),
            read(f"In which room does {second} work?", str(rooms[second])),
            place("Whose box has a dashed frame, which means away?", away),
        ),
    )


def draw(title: str, data: Mapping[str, Any]) -> Canvas:
    canvas = Canvas(512, 360)
    canvas.title(title)
    (head,), middle, left, right = data["groups"]
    xs = [52 + 102 * i for i in range(5)]
    places = {"left": xs[: len(left)], "right": xs[len(left) :]}
    centres = [sum(places[side]) / len(places[side]) for side in ("left", "right")]
    _fork(canvas, 256, 78, centres, 168)
    for centre, side in zip(centres, ("left", "right"), strict=True):
        _fork(canvas, centre, 168, places[side], 268)
    _person(canvas, (256, 78), head, data["away"])
    for centre, person in zip(centres, middle, strict=True):
        _person(canvas, (centre, 168), person, data["away"])
    for x, person in zip(xs, [*left, *right], strict=True):
        _person(canvas, (x, 268), person, data["away"])
    canvas.dashed((24, 330), (60, 330), INK, 2, 6)
    canvas.text((70, 330), "away", 14, anchor="lm")
    return canvas


def _fork(canvas: Canvas, x: float, y: float, below: list[float], below_y: float) -> None:
    bend = (y + below_y) / 2
    canvas.line([(x, y), (x, bend)], FAINT, 2)
    canvas.line([(min(below), bend), (max(below), bend)], FAINT, 2)
    for to in below:
        canvas.line([(to, bend), (to, below_y)], FAINT, 2)


def _person(canvas: Canvas, centre: tuple[float, float], person: list[Any], away: str) -> None:
    (x, y), (name, room) = centre, person
    left, top, right, bottom = x - _WIDTH / 2, y - _HEIGHT / 2, x + _WIDTH / 2, y + _HEIGHT / 2
    corners = ((left, top), (right, top), (right, bottom), (left, bottom), (left, top))
    canvas.box((left, top, right, bottom), "#EEF3FA")
    for start, end in itertools.pairwise(corners):
        if name == away:
            canvas.dashed(start, end, INK, 2, 6)
        else:
            canvas.line((start, end), INK, 2)
    canvas.fitted((x, y - 9), name, 15, _WIDTH - 8)
    canvas.text((x, y + 12), f"room {room}", 13, "#444444")
