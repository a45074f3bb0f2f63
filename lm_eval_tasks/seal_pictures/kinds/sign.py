"""A notice in a coloured frame: a heading and five lines of what holds here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lm_eval_tasks.seal_pictures.canvas import COLOURS, DARK, FAINT, Canvas
from lm_eval_tasks.seal_pictures.inventor import Asked, Invention, Inventor, colour, read


def invent(inventor: Inventor, number: int) -> Invention:
    """`data`: the frame's colour, and (what, value) of each line."""
    lines = (_ferry, _bathing_place, _bridge, _path)[number](inventor)
    (frame,) = inventor.colours(1, DARK)
    title = ("Ferry notice at", "Bathing place of", "Bridge notice at", "Path board of")[number]
    return Invention(
        f"{title} {inventor.name()}",
        {"frame": frame, "lines": [line[:2] for line in lines]},
        (*(line[2] for line in lines), colour("What colour is the frame of the notice?", frame)),
    )


def _ferry(i: Inventor) -> list[tuple[str, str, Asked]]:
    boat, master, first, last, fare = i.name(), i.name(), i.time(5, 8), i.time(19, 22), f"{i.price(2, 9)} crowns"
    return [
        ("First crossing", first, read("When is the first crossing of the ferry?", first)),
        ("Last crossing", last, read("When is the last crossing of the ferry?", last)),
        ("Fare", fare, read("What is the fare of the ferry?", fare)),
        ("Boat", boat, read("What is the ferry boat called?", boat)),
        ("Master", master, read("Who is the master of the ferry?", master)),
    ]


def _bathing_place(i: Inventor) -> list[tuple[str, str, Asked]]:
    guard, opens, depth, entry = i.name(), i.time(6, 10), f"{i.number(121, 499) / 100:.2f} m", f"{i.price(1, 6)} crowns"
    cabins = str(i.number(31, 199))
    return [
        ("Opens at", opens, read("At what time does the bathing place open?", opens)),
        ("Depth", depth, read("How deep is the water, in metres?", depth, f"{depth}etres")),
        ("Entry", entry, read("How much is the entry to the bathing place?", entry)),
        ("Cabins", cabins, read("How many cabins does the bathing place have?", cabins)),
        ("Lifeguard", guard, read("Who is the lifeguard?", guard)),
    ]


def _bridge(i: Inventor) -> list[tuple[str, str, Asked]]:
    builder, load, clear = i.name(), f"{i.number(31, 399) / 10:.1f} t", f"{i.number(211, 489) / 100:.2f} m"
    toll, year = f"{i.price(1, 8)} crowns", str(i.number(1803, 1899))
    return [
        ("Greatest load", load, read("How heavy may a cart on the bridge be, in tonnes?", load, f"{load[:-1]}tonnes")),
        ("Clear height", clear, read("What is the clear height below the bridge?", clear, f"{clear}etres")),
        ("Toll", toll, read("What is the toll of the bridge?", toll)),
        ("Opened in", year, read("In which year was the bridge opened?", year)),
        ("Built by", builder, read("Who built the bridge?", builder)),
    ]


def _path(i: Inventor) -> list[tuple[str, str, Asked]]:
    hut, spring, ranger = i.names(3)
    far, call = f"{i.number(23, 189) / 10:.1f} km", f"{i.number(201, 899)} {i.number(101, 999)}"
    return [
        ("Hut", hut, read("Which hut does the path lead to?", hut)),
        ("Distance", far, read("How far is it to the hut, in kilometres?", far, f"{far[:-2]}kilometres")),
        ("Spring", spring, read("What is the spring on the way called?", spring)),
        ("Ranger", ranger, read("Who is the ranger of the path?", ranger)),
        ("Telephone", call, read("What is the ranger's telephone number?", call)),
    ]


def draw(title: str, data: Mapping[str, Any]) -> Canvas:
    canvas = Canvas(384, 400, "#D9D9D2")
    frame = COLOURS[data["frame"]]
    canvas.box((14, 14, 370, 386), "#FFFFFF", frame, 12, radius=16)
    canvas.box((20, 20, 364, 84), frame, radius=8)
    canvas.fitted((192, 53), title, 22, 330, "#FFFFFF")
    for i, (what, value) in enumerate(data["lines"]):
        y = 122 + 54 * i
        canvas.text((44, y), what, 17, "#555555", "lm")
        canvas.text((340, y), value, 21, anchor="rm")
        if i:
            canvas.line([(44, y - 27), (340, y - 27)], FAINT)
    return canvas
