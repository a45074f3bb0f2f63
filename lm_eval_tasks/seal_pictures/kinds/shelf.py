"""A shelf of twelve coloured shapes with a code below each, and a plate with a name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import product
from typing import Any

from lm_eval_tasks.seal_pictures.canvas import COLOURS, INK, Canvas
from lm_eval_tasks.seal_pictures.inventor import Invention, Inventor, place, read

_THEMES = ("Specimen shelf of", "Token cabinet of", "Tile samples of", "Buoy store of")
_SHAPES = ("circle", "square", "triangle", "star", "hexagon", "cross")
_COLUMNS, _LETTERS = 4, "BDFGHKLMPRSTVWXZ"


def invent(inventor: Inventor, number: int) -> Invention:
    """`data`: whose shelf it is, and (colour, shape, code) of each place, row by row."""
    owner = inventor.name()
    shown = inventor.random.sample(list(product(COLOURS, _SHAPES)), 12)
    letters, numbers = inventor.random.sample(_LETTERS, 12), inventor.spread(12, 21, 99, 2)
    codes = [f"{letter}{n}" for letter, n in zip(letters, numbers, strict=True)]
    cells = [[*shown[i], codes[i]] for i in range(12)]
    upper, corner = inventor.choice((1, 2)), 11
    below = upper + _COLUMNS
    while True:  # what is described must share neither colour nor shape with what other questions name
        a, b, described = inventor.shuffled([i for i in range(12) if i not in (upper, below, corner)])[:3]
        if not {*shown[described]} & {*shown[a], *shown[b]}:
            break
    return Invention(
        f"{_THEMES[number]} {inventor.name()}",
        {"owner": owner, "cells": cells},
        (
            place(f"Which code stands below the {shown[a][0]} {shown[a][1]}?", codes[a]),
            place(f"Which code stands below the {shown[b][0]} {shown[b][1]}?", codes[b]),
            place(f"Which shape, and in which colour, has the code {codes[described]}?", " ".join(shown[described])),
            place("Which code is in the lower right corner?", codes[corner]),
            place(f"Which code is directly below the code {codes[upper]}?", codes[below]),
            read("Whose name is on the plate?", owner),
        ),
    )


def draw(title: str, data: Mapping[str, Any]) -> Canvas:
    canvas = Canvas(512, 400, "#F3EFE4")
    canvas.title(title)
    for i, (shade, shape, code) in enumerate(data["cells"]):
        x, y = 76 + 120 * (i % _COLUMNS), 80 + 98 * (i // _COLUMNS)
        _shape(canvas, shape, (x, y), COLOURS[shade])
        canvas.text((x, y + 43), code, 17)
    for y in (136, 234, 332):
        canvas.box((14, y, 498, y + 5), COLOURS["brown"])
    canvas.box((160, 350, 352, 386), "#D9B44A", INK, 2, radius=4)
    canvas.fitted((256, 368), data["owner"], 19, 180)
    return canvas


def _shape(canvas: Canvas, shape: str, centre: tuple[float, float], fill: str) -> None:
    x, y = centre
    if shape == "circle":
        canvas.disc(centre, 27, fill, INK, 2)
    elif shape == "square":
        canvas.box((x - 24, y - 24, x + 24, y + 24), fill, INK, 2)
    elif shape == "cross":
        arm, half = 27, 10
        outline = [(-half, -arm), (half, -arm), (half, -half), (arm, -half), (arm, half), (half, half)]
        outline += [(half, arm), (-half, arm), (-half, half), (-arm, half), (-arm, -half), (-half, -half)]
        canvas.shapes.polygon([(x + dx, y + dy) for dx, dy in outline], fill, INK, 2)
    else:
        corners = {"triangle": 3, "hexagon": 6, "star": 10}[shape]
        radii = (30, 13) if shape == "star" else (29, 29)
        turn = 0 if shape == "hexagon" else -math.pi / 2
        points = [
            (
                x + radii[i % 2] * math.cos(turn + math.tau * i / corners),
                y + radii[i % 2] * math.sin(turn + math.tau * i / corners),
            )
            for i in range(corners)
        ]
        canvas.shapes.polygon(points, fill, INK, 2)
