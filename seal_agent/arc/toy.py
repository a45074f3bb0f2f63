"""Invented small tasks: recolour, flip, crop, count, tile. Few cells and colours, one rule that every example shows."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from seal_agent.arc.augment import LEFT_RIGHT, SYMMETRIES, UP_DOWN, chained, flip, reflection, repetition
from seal_agent.arc.grids import ArcTask, Cells, Example, Grid
from seal_agent.errors import InputError

TOY = "toy-"
KINDS = ("recolour", "flip", "crop", "count", "tile")

Rule = Callable[[Grid], Grid | None]
"""What a task does to a grid; None where it cannot be done to this one."""


def toy_tasks(count: int = 20, seed: int = 0) -> tuple[ArcTask, ...]:
    """The first `count` tasks of a seed, kinds in turn; the same whatever the count. Ids of seeds but 0 name it."""
    return tuple(_task(KINDS[at % len(KINDS)], at // len(KINDS), seed) for at in range(count))


def toy_task(task_id: str) -> ArcTask:
    """One task by its id: "toy-flip-003", or "toy-flip-003-s1" of seed 1. Raises InputError."""
    kinds = "|".join(KINDS)
    found = re.fullmatch(rf"{TOY}({kinds})-([0-9]{{3,6}})(?:-s([1-9][0-9]{{0,8}}))?", task_id)
    if found is None:
        raise InputError(f"there is no toy task {task_id!r}; use {TOY}KIND-000 to -999, KIND one of {', '.join(KINDS)}")
    return _task(found[1], int(found[2]), int(found[3] or 0))


# ---------------------------------------------------------------- one task


@dataclass(frozen=True, slots=True)
class _Draft:
    """A rule, and an endless supply of inputs for it."""

    rule: Rule
    inputs: Iterator[Grid]


def _task(kind: str, number: int, seed: int) -> ArcTask:
    """Drawn again until it is a good one: for most kinds the first or the second is."""
    rng = random.Random(f"{seed} {kind} {number}")
    while True:
        draft = _DRAFTS[kind](rng)
        size = rng.choice((3, 4)) + 1
        if examples := _examples(draft, size):
            *train, test = examples
            task_id = f"{TOY}{kind}-{number:03d}" + (f"-s{seed}" if seed else "")
            task = ArcTask(task_id, tuple(train), (test,))
            if _is_good(task, kind):
                return task


def _examples(draft: _Draft, count: int, tries: int = 200) -> list[Example]:
    """So many different examples each of which shows the rule; [] where the draft is not good for that many."""
    examples: list[Example] = []
    for _, grid in zip(range(tries), draft.inputs, strict=False):
        made = draft.rule(grid)
        if made and made != grid and grid not in [one.input for one in examples] and _is_telling(grid, made):
            examples.append(Example(grid, made))
        if len(examples) == count:
            return examples
    return []


def _is_telling(grid: Grid, made: Grid) -> bool:
    """No second rule of a position does the same to this grid, so that one example is enough to know which it is."""
    return sum(rule(grid) == made for rule in _OF_POSITION) <= 1


def _is_good(task: ArcTask, kind: str) -> bool:
    """The test's output is new, though nothing in it is: to count, its number and its colour were each seen before."""
    (test,) = task.test
    seen = [example.output for example in task.train]
    if kind == "count":
        numbers, colours = {grid.shape for grid in seen}, {grid.rows[0][0] for grid in seen}
        return test.output not in seen and test.output.shape in numbers and test.output.rows[0][0] in colours
    return test.output not in seen


# ---------------------------------------------------------------- kinds


def _recolour(rng: random.Random) -> _Draft:
    """Two colours become two others. Every input has both and background, so that each example shows the whole map."""
    first, second, *new = rng.sample(range(1, 10), 4)
    table = np.arange(10, dtype=np.uint8)
    table[[first, second]] = new
    wanted = {0, first, second}
    inputs = (grid for grid in _random_grids(rng, (first, second)) if {*grid.array.flat} == wanted)
    return _Draft(lambda grid: Grid.of(table[grid.array]), inputs)


def _flip(rng: random.Random) -> _Draft:
    return _Draft(flip(rng.choice((UP_DOWN, LEFT_RIGHT))).apply, _random_grids(rng, _colours(rng)))


def _crop(rng: random.Random) -> _Draft:
    """A quarter of a 4 × 4 grid."""
    return _Draft(rng.choice(_QUARTERS), _random_grids(rng, _colours(rng), side=4))


def _count(rng: random.Random) -> _Draft:
    """One to five cells of one colour, which become a bar as long as they are many."""
    return _Draft(_bar, _dotted_grids(rng, _colours(rng)))


def _tile(rng: random.Random) -> _Draft:
    return _Draft(rng.choice(_TILINGS), _random_grids(rng, _colours(rng)))


def _colours(rng: random.Random) -> list[int]:
    return rng.sample(range(1, 10), rng.choice((2, 3)))


def _random_grids(rng: random.Random, colours: tuple[int, ...] | list[int], side: int = 3) -> Iterator[Grid]:
    """Half of the cells are background."""
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
    def cut(grid: Grid) -> Grid | None:
        height, width = (side // 2 for side in grid.shape)
        if not height or not width:
            return None
        return Grid.of(_block(grid.array, down * height, right * width, height, width))

    return cut


def _block(cells: Cells, top: int, left: int, height: int, width: int) -> Cells:
    return cells[top : top + height, left : left + width]


_DRAFTS = {"recolour": _recolour, "flip": _flip, "crop": _crop, "count": _count, "tile": _tile}
_QUARTERS = tuple(_quarter(down, right) for down in (0, 1) for right in (0, 1))
_TILINGS: tuple[Rule, ...] = tuple(repetition(*times).apply for times in ((1, 2), (2, 1), (2, 2)))
_DOWN = (repetition(2, 1), reflection(UP_DOWN), reflection(UP_DOWN, mirrored_first=True))
_RIGHT = (repetition(1, 2), reflection(LEFT_RIGHT), reflection(LEFT_RIGHT, mirrored_first=True))
_BOTH = tuple(chained(down, right) for down in _DOWN for right in _RIGHT)
_OF_POSITION: tuple[Rule, ...] = (*(one.apply for one in (*SYMMETRIES, *_DOWN, *_RIGHT, *_BOTH)), *_QUARTERS)
