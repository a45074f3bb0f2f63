"""A receipt: five items with their prices, the total, who served, and its number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lm_eval_tasks.seal_pictures.canvas import INK, Canvas
from lm_eval_tasks.seal_pictures.inventor import Invention, Inventor, compare, read

_THEMES = (
    ("Receipt from the inn at", "pie broth ale bread cheese"),
    ("Receipt from the chandler at", "rope lantern candle twine sponge"),
    ("Receipt from the seed shop at", "beans turnip leek clover marigold"),
    ("Receipt from the stationer at", "ink paper quill ruler wax"),
)


def invent(inventor: Inventor, number: int) -> Invention:
    """`data`: (item, price) of each line, the total, who served, the receipt's number and the table or counter."""
    opening, goods = _THEMES[number]
    names = [f"{inventor.name()} {noun}" for noun in goods.split()]
    pence = inventor.spread(5, 143, 1890, 60)
    items = [[name, f"{price / 100:.2f}"] for name, price in zip(names, pence, strict=True)]
    dearest = names[pence.index(max(pence))]
    a, b = inventor.shuffled([item for item in items if item[0] != dearest])[:2]
    total, server = f"{sum(pence) / 100:.2f}", inventor.name()
    till, counter = inventor.number(10_201, 98_899), inventor.number(12, 98)
    return Invention(
        f"{opening} {inventor.name()}",
        {"items": items, "total": total, "by": server, "number": till, "counter": counter},
        (
            read(f"What did the {a[0]} cost, in crowns?", a[1]),
            read(f"What did the {b[0]} cost, in crowns?", b[1]),
            compare("What was the dearest item on the receipt?", dearest),
            read("What was the total of the receipt, in crowns?", total),
            read("Who served the customer?", server),
            read("What is the number of the receipt?", str(till)),
        ),
    )


def draw(title: str, data: Mapping[str, Any]) -> Canvas:
    canvas = Canvas(384, 420, "#B9C3C9")
    canvas.box((26, 10, 358, 410), "#FFFFFF")
    canvas.fitted((192, 36), title, 19, 310)
    canvas.text((46, 68), f"No. {data['number']}", 15, "#444444", "lm")
    canvas.text((338, 68), f"counter {data['counter']}", 15, "#444444", "rm")
    canvas.dashed((46, 88), (338, 88), INK, 1, 5)
    for i, (item, price) in enumerate(data["items"]):
        canvas.text((46, 114 + 36 * i), item, 18, anchor="lm")
        canvas.text((338, 114 + 36 * i), price, 18, anchor="rm")
    canvas.dashed((46, 290), (338, 290), INK, 1, 5)
    canvas.text((46, 318), "Total, crowns", 20, anchor="lm")
    canvas.text((338, 318), data["total"], 22, anchor="rm")
    canvas.text((192, 372), f"You were served by {data['by']}", 16, "#444444")
    return canvas
