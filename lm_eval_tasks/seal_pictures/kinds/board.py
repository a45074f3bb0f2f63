"""A board of departures: times, where to, the pier or platform, and remarks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lm_eval_tasks.seal_pictures.canvas import Canvas
from lm_eval_tasks.seal_pictures.inventor import Invention, Inventor, place, read

_THEMES = (
    ("Departures from the harbour of", "boat", "pier"),
    ("Departures from the coach yard of", "coach", "stand"),
    ("Departures from the railway station of", "train", "track"),
    ("Departures from the airship mast of", "airship", "gate"),
)
_AMBER, _RED, _DIM = "#FFC83D", "#FF6B5E", "#9AA7B5"


def invent(inventor: Inventor, number: int) -> Invention:
    """`data`: what the stands are called, and (time, destination, stand, remark) of each row, in order."""
    opening, vehicle, stand = _THEMES[number]
    minutes = sorted(inventor.spread(6, 5 * 60 + 11, 21 * 60, 35))
    times = [f"{minute // 60:02d}:{minute % 60:02d}" for minute in minutes]
    names, stands = inventor.names(6), [str(n) for n in inventor.spread(6, 11, 98, 3)]
    late = inventor.number(13, 57)
    on_time, by_stand, cancelled, by_time, delayed = inventor.shuffled(range(5))
    remarks = {cancelled: "cancelled", delayed: f"{late} min late"}
    rows = [[times[i], names[i], stands[i], remarks.get(i, "")] for i in range(6)]
    return Invention(
        f"{opening} {inventor.name()}",
        {"stand": stand, "rows": rows},
        (
            read(f"When does the {vehicle} to {names[on_time]} leave?", times[on_time]),
            read(f"From which {stand} does the {vehicle} to {names[by_stand]} leave?", stands[by_stand]),
            place(f"Where was the cancelled {vehicle} to go?", names[cancelled]),
            read(f"Where does the {vehicle} at {times[by_time]} go?", names[by_time]),
            read(f"How many minutes late is the {vehicle} to {names[delayed]}?", str(late), f"{late} minutes"),
            place(f"Where does the last {vehicle} on the board go?", names[5]),
        ),
    )


def draw(title: str, data: Mapping[str, Any]) -> Canvas:
    canvas = Canvas(512, 384, "#101820")
    canvas.title(title, "#FFFFFF")
    columns = ((24, "lm"), (112, "lm"), (318, "mm"), (494, "rm"))
    for (x, anchor), head in zip(columns, ("time", "to", data["stand"], "remark"), strict=True):
        canvas.text((x, 66), head, 15, _DIM, anchor)
    for i, row in enumerate(data["rows"]):
        y = 104 + 46 * i
        canvas.box((10, y - 20, 502, y + 20), "#1C2833")
        shade = _RED if row[3] == "cancelled" else _AMBER
        for (x, anchor), value in zip(columns, row, strict=True):
            if value:
                canvas.text((x, y), value, 20 if x < 400 else 17, shade, anchor)
    return canvas
