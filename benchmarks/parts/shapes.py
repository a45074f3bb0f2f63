"""Small pictures of coloured shapes, with captions and questions, from a seed: what a toy model learns to see.

A scene has one to four shapes in the cells of a grid. Everything that is asked follows from what was placed.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from PIL import Image, ImageDraw

from seal_agent.seeds import derived_seed
from seal_agent.types import Question

COLOURS = {
    "red": (214, 32, 40),
    "green": (30, 150, 60),
    "blue": (30, 90, 210),
    "yellow": (240, 205, 0),
    "purple": (125, 50, 180),
    "orange": (255, 135, 10),
    "black": (25, 25, 25),
    "grey": (140, 140, 140),
}
SHAPES = ("circle", "square", "triangle", "diamond", "cross")
ROWS = {2: ("top", "bottom"), 3: ("top", "middle", "bottom")}
COLUMNS = {2: ("left", "right"), 3: ("left", "middle", "right")}
NUMBERS = ("zero", "one", "two", "three", "four")
MOST = 4  # shapes in a scene
_BACKGROUND = (250, 250, 250)
_STEMS = "bel cor dra fin gal hes jun kor lam mer nol pas quil ros sel tam vor wil yar zan"
_ENDINGS = "by den fax gow lis mont ney pol rick stead ton ver"

Attribute = Literal["colour", "shape", "height", "side", "count"]


@dataclass(frozen=True, slots=True)
class Placed:
    """A shape in a cell of the grid; its radius and centre are in pixels."""

    shape: str
    colour: str
    row: int
    column: int
    radius: int
    centre: tuple[int, int]

    @property
    def name(self) -> str:
        return f"{self.colour} {self.shape}"


@dataclass(frozen=True, slots=True)
class ShapeQuestion:
    """A question about a scene, and what it is about."""

    question: Question
    about: Attribute


@dataclass(frozen=True, slots=True)
class Scene:
    """What is in a picture of `side` × `side` pixels, in the order of reading. The title is invented, and unique.

    Nothing in the picture shows the title: it is the name under which the picture is learned.
    """

    title: str
    placed: tuple[Placed, ...]
    grid: int
    side: int

    def image(self) -> Image.Image:
        """The picture in RGB; the same pixels each time."""
        image = Image.new("RGB", (self.side, self.side), _BACKGROUND)
        canvas = ImageDraw.Draw(image)
        for placed in self.placed:
            _draw(canvas, placed)
        return image

    @property
    def caption(self) -> str:
        """All that is in the picture, in one sentence."""
        listed = [f"{_article(placed.colour)} {placed.name} at the {self.place_of(placed)}" for placed in self.placed]
        head, last = listed[:-1], listed[-1]
        return f"The picture shows {', '.join(head)} and {last}." if head else f"The picture shows {last}."

    def place_of(self, placed: Placed) -> str:
        """Where a shape is: "top left", "middle"."""
        row, column = ROWS[self.grid][placed.row], COLUMNS[self.grid][placed.column]
        return row if row == column else f"{row} {column}"

    @property
    def questions(self) -> tuple[ShapeQuestion, ...]:
        """Every question that has one answer, in a fixed order."""
        shapes, colours = (Counter(getattr(placed, kind) for placed in self.placed) for kind in ("shape", "colour"))
        asked = []
        for placed in self.placed:
            if shapes[placed.shape] == 1:
                asked.append(_asked("colour", f"What colour is the {placed.shape}?", placed.colour))
            if colours[placed.colour] == 1:
                asked.append(_asked("shape", f"Which shape is {placed.colour}?", placed.shape, f"the {placed.shape}"))
                row, column = ROWS[self.grid][placed.row], COLUMNS[self.grid][placed.column]
                asked.append(_asked("height", f"At which height is the {placed.colour} shape?", row, f"at the {row}"))
                asked.append(_asked("side", f"On which side is the {placed.colour} shape?", column, f"on the {column}"))
        several = sorted(shape for shape in shapes if shapes[shape] > 1)
        asked += [_number(f"How many {_plural(shape)} are there?", shapes[shape]) for shape in several]
        return (*asked, _number("How many shapes are there?", len(self.placed)))


def scenes(count: int, seed: int, start: int = 0, grid: int = 2, side: int = 64) -> Iterator[Scene]:
    """Scenes number `start` to `start + count - 1` of a seed; others of the same seed have other titles.

    Args:
        grid: Cells along a side, 2 or 3.
        side: Pixels along a side.
    """
    for number in range(start, start + count):
        yield scene(seed, number, grid, side)


def scene(seed: int, number: int, grid: int = 2, side: int = 64) -> Scene:
    """One scene of a seed."""
    draws = random.Random(derived_seed(seed, "scene", number))
    cells = draws.sample(range(grid * grid), draws.randint(1, min(MOST, grid * grid)))
    placed = tuple(_placed(draws, cell, grid, side) for cell in sorted(cells))
    return Scene(title_of(number), placed, grid, side)


def title_of(number: int) -> str:
    """An invented name; numbers below 240 have two syllables, those above a numeral too."""
    stems, endings = _STEMS.split(), _ENDINGS.split()
    stem, rest = number % len(stems), number // len(stems)
    round_of, ending = rest // len(endings), (rest + 7 * stem) % len(endings)
    name = f"{stems[stem]}{endings[ending]}".capitalize()
    return f"{name} {round_of + 1}" if round_of else name


def _placed(draws: random.Random, cell: int, grid: int, side: int) -> Placed:
    """A shape in a cell, a little off its centre and of varying size."""
    width = side // grid
    radius = draws.randint(width * 28 // 100, width * 38 // 100)
    slack = max(0, width // 2 - radius - 1)
    row, column = divmod(cell, grid)
    x, y = (width * at + width // 2 + draws.randint(-slack, slack) for at in (column, row))
    return Placed(draws.choice(SHAPES), draws.choice(list(COLOURS)), row, column, radius, (x, y))


def _asked(about: Attribute, question: str, *golds: str) -> ShapeQuestion:
    return ShapeQuestion(Question(question, golds), about)


def _number(question: str, number: int) -> ShapeQuestion:
    return _asked("count", question, NUMBERS[number], str(number))


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"


def _plural(shape: str) -> str:
    return f"{shape}es" if shape.endswith("s") else f"{shape}s"


def _draw(canvas: ImageDraw.ImageDraw, placed: Placed) -> None:
    (x, y), r, fill = placed.centre, placed.radius, COLOURS[placed.colour]
    if placed.shape == "circle":
        canvas.ellipse((x - r, y - r, x + r, y + r), fill)
    elif placed.shape == "square":
        half = r * 85 // 100
        canvas.rectangle((x - half, y - half, x + half, y + half), fill)
    elif placed.shape == "triangle":
        canvas.polygon([(x, y - r), (x + r, y + r), (x - r, y + r)], fill)
    elif placed.shape == "diamond":
        canvas.polygon([(x, y - r), (x + r, y), (x, y + r), (x - r, y)], fill)
    else:
        arm = max(1, r // 3)
        canvas.rectangle((x - r, y - arm, x + r, y + arm), fill)
        canvas.rectangle((x - arm, y - r, x + arm, y + r), fill)
