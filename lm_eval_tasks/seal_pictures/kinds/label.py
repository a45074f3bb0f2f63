"""The label of a jar or bottle: who made it, of what, how much, until when."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from lm_eval_tasks.seal_pictures.canvas import COLOURS, DARK, INK, Canvas
from lm_eval_tasks.seal_pictures.inventor import Invention, Inventor, read

_THEMES = (
    ("Quince paste from", "quinces", "sugar", "g"),
    ("Tar soap from", "ash lye", "pine tar", "g"),
    ("Lamp oil from", "rapeseed oil", "linseed oil", "ml"),
    ("Barley tea from", "roasted barley", "dried apple", "g"),
)
_MONTHS = ("January", "February", "March", "April", "June", "July", "August", "October", "November", "December")


def invent(inventor: Inventor, number: int) -> Invention:
    """`data`: maker, colour, weight, shares of (ingredient, per cent), batch, price, best before, seed of the bars."""
    opening, main, second, unit = _THEMES[number]
    share = inventor.number(51, 68)
    second_share = inventor.number(12, 29)
    weight, price, third = (
        f"{inventor.number(213, 897)} {unit}",
        f"{inventor.price(3, 19)} crowns",
        inventor.name().lower(),
    )
    batch = f"{inventor.choice('BDFHKMPRTVX')}{inventor.number(1011, 9899)}"
    date = f"{inventor.number(1, 28)} {inventor.choice(_MONTHS)} {inventor.number(2061, 2099)}"
    maker = inventor.name()
    return Invention(
        f"{opening} {inventor.name()}",
        {
            "maker": maker,
            "colour": inventor.colours(1, DARK)[0],
            "weight": weight,
            "of": [[main, share], [second, second_share], [third, 100 - share - second_share]],
            "batch": batch,
            "price": price,
            "date": date,
        },
        (
            read("Who makes it?", maker),
            read("How much does the packet hold, by its label?", weight),
            read(f"What percentage of it is {main}?", f"{share} %", f"{share} percent"),
            read("What is the third ingredient on the label called?", third),
            read("Which batch is it from?", batch),
            read("Until which date is it best?", date),
        ),
    )


def draw(title: str, data: Mapping[str, Any]) -> Canvas:
    canvas = Canvas(384, 448, "#CFC8BA")
    canvas.box((18, 14, 366, 434), "#FFFDF4", INK, 2, radius=22)
    canvas.box((20, 70, 364, 134), COLOURS[data["colour"]])
    canvas.fitted((192, 44), title, 22, 320)
    canvas.fitted((192, 102), f"made by {data['maker']}", 26, 320, "#FFFFFF")
    for i, (name, share) in enumerate(data["of"]):
        canvas.text((44, 166 + 30 * i), name, 18, anchor="lm")
        canvas.text((340, 166 + 30 * i), f"{share} %", 18, anchor="rm")
    canvas.line([(44, 252), (340, 252)], INK)
    rows = (
        ("contents", data["weight"]),
        ("best before", data["date"]),
        ("batch", data["batch"]),
        ("price", data["price"]),
    )
    for i, (what, value) in enumerate(rows):
        canvas.text((44, 276 + 28 * i), what, 15, "#666666", "lm")
        canvas.text((340, 276 + 28 * i), value, 18, anchor="rm")
    _bars(canvas, data["batch"])
    return canvas


def _bars(canvas: Canvas, batch: str) -> None:
    """Stripes like a bar code's, which say nothing."""
    stripes, x = random.Random(batch), 96
    while x < 284:
        width = stripes.randint(1, 4)
        canvas.box((x, 388, x + width - 1, 422), INK)
        x += width + stripes.randint(2, 5)
