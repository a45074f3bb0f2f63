"""Small synthetic tasks: recolour, flip, crop, count, tile. Few cells and colours; every example shows the rule."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from seal_agent.arc.augment import LEFT_RIGHT, SYMMETRIES, UP_DOWN, chained, flip, reflection, repetition
from seal_agent.arc.grids import ArcTask, Example, Grid
from seal_agent.errors import InputError

TOY_PREFIX = "toy-"
KINDS = ("recolour", "flip", "crop", "count", "tile")

Rule = Callable[[Grid], Grid | None]
"""Maps an input grid to its output; None where the rule does not apply to the grid."""


def toy_tasks(count: int = 20, seed: int = 0) -> tuple[ArcTask, ...]:
    """The first `count` tasks of a seed, cycling through the kinds; a smaller count gives a prefix.

    Ids end in the seed, unless it is 0.
    """
    return tuple(_task(KINDS[index % len(KINDS)], index // len(KINDS), seed) for index in range(count))


def toy_task(task_id: str) -> ArcTask:
    """The task with this id, such as "toy-flip-003", or "toy-flip-003-s1" of seed 1. Raises InputError."""
    kinds = "|".join(KINDS)
    match = re.fullmatch(rf"{TOY_PREFIX}({kinds})-([0-9]{{3,6}})(?:-s([1-9][0-9]{{0,8}}))?", task_id)
    if match is None:
        raise InputError(
            f"there is no toy task {task_id!r}; use {TOY_PREFIX}KIND-000 to -999, KIND one of {', '.join(KINDS)}"
        )
    return _task(match[1], int(match[2]), int(match[3] or 0))


# ---------------------------------------------------------------- one task


@dataclass(frozen=True, slots=True)
class _Generator:
    """A rule, and an endless stream of inputs for it."""

    rule: Rule
    inputs: Iterator[Grid]


def _task(kind: str, number: int, seed: int) -> ArcTask:
    """Draw tasks until one is valid; for most kinds the first or the second is."""
    rng = random.Random(f"{seed} {kind} {number}")
    while True:
        generator = _GENERATORS[kind](rng)
        count = rng.choice((3, 4)) + 1
        if examples := _examples(generator, count):
            *train, test = examples
            task_id = f"{TOY_PREFIX}{kind}-{number:03d}" + (f"-s{seed}" if seed else "")
            task = ArcTask(task_id, tuple(train), (test,))
            if _is_valid(task, kind):
                return task


def _examples(generator: _Generator, count: int, tries: int = 200) -> list[Example]:
    """`count` different examples, each of which shows the rule; [] where `tries` inputs do not give that many."""
    examples: list[Example] = []
    for _, grid in zip(range(tries), generator.inputs, strict=False):
        output = generator.rule(grid)
        if not output or output == grid or grid in [example.input for example in examples]:
            continue
        if _is_unambiguous(grid, output):
            examples.append(Example(grid, output))
        if len(examples) == count:
            return examples
    return []


def _is_unambiguous(grid: Grid, output: Grid) -> bool:
    """Whether at most one geometric rule maps the grid to the output, so that a single example identifies the rule."""
    return sum(rule(grid) == output for rule in _GEOMETRIC_RULES) <= 1


def _is_valid(task: ArcTask, kind: str) -> bool:
    """Whether the test output is new. Its length and colour in a "count" task must each occur in training."""
    (test,) = task.test
    outputs = [example.output for example in task.train]
    if kind == "count":
        shapes, colours = {grid.shape for grid in outputs}, {grid.rows[0][0] for grid in outputs}
        return test.output not in outputs and test.output.shape in shapes and test.output.rows[0][0] in colours
    return test.output not in outputs


# ---------------------------------------------------------------- kinds


def _recolour(rng: random.Random) -> _Generator:
    """Replace two colours by two others. Every input has both and background, so each example shows the whole map."""
    first, second, *new = rng.sample(range(1, 10), 4)
    table = np.arange(10, dtype=np.uint8)
    table[[first, second]] = new
    required = {0, first, second}
    inputs = (grid for grid in _random_grids(rng, (first, second)) if {*grid.array.flat} == required)
    return _Generator(lambda grid: Grid.of(table[grid.array]), inputs)


def _flip(rng: random.Random) -> _Generator:
    return _Generator(flip(rng.choice((UP_DOWN, LEFT_RIGHT))).apply, _random_grids(rng, _colours(rng)))


def _crop(rng: random.Random) -> _Generator:
    """Crop a quarter of a 4 × 4 grid."""
    return _Generator(rng.choice(_QUARTERS), _random_grids(rng, _colours(rng), side=4))


def _count(rng: random.Random) -> _Generator:
    """Turn one to five cells of one colour into a bar of that length."""
    return _Generator(_bar, _dotted_grids(rng, _colours(rng)))


def _tile(rng: random.Random) -> _Generator:
    return _Generator(rng.choice(_TILINGS), _random_grids(rng, _colours(rng)))


def _colours(rng: random.Random) -> list[int]:
    return rng.sample(range(1, 10), rng.choice((2, 3)))


def _random_grids(rng: random.Random, colours: tuple[int, ...] | list[int], side: int = 3) -> Iterator[Grid]:
    """Random grids, in which each cell is background with probability one half."""
    while True:
        cells = [rng.choice(colours) if rng.random() < 0.5 else 0 for _ in range(side * side)]
        yield Grid.of(np.array(cells).reshape(side, side))


def _dotted_grids(rng: random.Random, colours: list[int], side: int = 3) -> Iterator[Grid]:
    while True:
        cells = np.zeros(side * side, dtype=np.uint8)
        cells[rng.sample(range(side * side), rng.randint(1, 5))] = rng.choice(colours)
        yield Grid.of(cells.reshape(side, side))


def _bar(grid: Grid) -> Grid:
    cells = grid.array
    return Grid.of(cells[cells > 0].reshape(1, -1))


def _quarter(down: int, right: int) -> Rule:
    def crop(grid: Grid) -> Grid | None:
        height, width = (side // 2 for side in grid.shape)
        if not height or not width:
            return None
        top, left = down * height, right * width
        return Grid.of(grid.array[top : top + height, left : left + width])

    return crop


_GENERATORS = {"recolour": _recolour, "flip": _flip, "crop": _crop, "count": _count, "tile": _tile}
_QUARTERS = tuple(_quarter(down, right) for down in (0, 1) for right in (0, 1))
_TILINGS: tuple[Rule, ...] = tuple(repetition(*times).apply for times in ((1, 2), (2, 1), (2, 2)))
_DOWN = (repetition(2, 1), reflection(UP_DOWN), reflection(UP_DOWN, mirrored_first=True))
_RIGHT = (repetition(1, 2), reflection(LEFT_RIGHT), reflection(LEFT_RIGHT, mirrored_first=True))
_BOTH = tuple(chained(down, right) for down in _DOWN for right in _RIGHT)
_GEOMETRIC_RULES: tuple[Rule, ...] = (
    *(augmentation.apply for augmentation in (*SYMMETRIES, *_DOWN, *_RIGHT, *_BOTH)),
    *_QUARTERS,
)
