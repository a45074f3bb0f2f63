"""What may be done to a grid, or to every grid of a task, without losing its rule: each as data, each with its inverse.

The groups follow Akyürek et al. 2024, arXiv 2411.07279 (appendix on augmentations), as SEAL v2 takes them over.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from seal_agent.arc.grids import COLOURS, MAX_SIDE, ArcTask, Cells, Example, Grid
from seal_agent.errors import InputError

MAX_SHIFT = 4  # Akyürek et al. 2024: the largest translation, in cells, along each axis
UP_DOWN, LEFT_RIGHT = 0, 1
"""Axes as numpy counts them: 0 runs down the rows, 1 along them."""


@dataclass(frozen=True, slots=True)
class Augmentation:
    """A name out of a fixed list, its numbers, and the augmentations that it is made of; made by the functions below.

    It is a partial one-to-one map: where `apply` gives a grid, `inverse.apply` gives the first one back.
    """

    name: str
    parameters: tuple[int, ...] = ()
    parts: tuple[Augmentation, ...] = ()

    def __post_init__(self) -> None:
        if self.name not in _MAPS:
            raise InputError(f"there is no augmentation {self.name!r}; use {', '.join(sorted(_MAPS))}")

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Augmentation:
        """From what `dataclasses.asdict` made of one, after JSON or before."""
        return cls(value["name"], tuple(value["parameters"]), tuple(map(cls.from_json, value["parts"])))

    def apply(self, grid: Grid) -> Grid | None:
        """The changed grid; None where it would be larger than 30 × 30, or is not one that this can be done to."""
        cells = self.on_cells(grid.array)
        return None if cells is None else Grid.of(cells)

    def on_cells(self, cells: Cells) -> Cells | None:
        """The same on bare cells, (rows, columns)."""
        changed = _MAPS[self.name].forward(cells, self)
        return None if changed is None or max(changed.shape) > MAX_SIDE else changed

    @property
    def inverse(self) -> Augmentation:
        """What takes it back."""
        return _MAPS[self.name].inverse(self)

    def __str__(self) -> str:
        inner = ", ".join([*map(str, self.parameters), *map(str, self.parts)])
        return f"{self.name}({inner})" if inner else self.name


# ---------------------------------------------------------------- by name


def rotation(degrees: int) -> Augmentation:
    """By 90, 180 or 270 degrees, counter-clockwise."""
    if degrees not in (90, 180, 270):
        raise InputError(f"a grid cannot be rotated by {degrees} degrees; use 90, 180 or 270")
    return Augmentation("rotation", (degrees,))


def flip(axis: int) -> Augmentation:
    """UP_DOWN or LEFT_RIGHT."""
    return Augmentation("flip", (axis,))


def transposition(anti: bool = False) -> Augmentation:
    """Mirrored on the main diagonal, or on the other one."""
    return Augmentation("anti-transposition" if anti else "transposition")


def translation(down: int, right: int) -> Augmentation:
    """Shifted by so many cells; what leaves at one border comes in at the other."""
    return Augmentation("translation", (down, right))


def scaling(height: int, width: int) -> Augmentation:
    """Every cell becomes a block of `height` × `width` equal cells."""
    return Augmentation("scaling", (height, width))


def repetition(down: int, right: int) -> Augmentation:
    """The grid `down` times below and `right` times beside itself."""
    return Augmentation("repetition", (down, right))


def joined(axis: int, other: Augmentation, own_first: bool = True) -> Augmentation:
    """The grid and what `other` makes of it: UP_DOWN puts one below the other, LEFT_RIGHT side by side."""
    return Augmentation("joined", (axis, int(own_first)), (other,))


def reflection(axis: int, mirrored_first: bool = False) -> Augmentation:
    """The grid and its mirror image, meeting at the mirror."""
    return joined(axis, flip(axis), own_first=not mirrored_first)


def colour_permutation(seed: int, keep_background: bool = True) -> Augmentation:
    """Every colour becomes another or stays, no two the same; colour 0 stays where `keep_background`."""
    first = int(keep_background)
    moved = list(range(first, COLOURS))
    random.Random(seed).shuffle(moved)
    return Augmentation("recolouring", (*range(first), *moved))


def chained(*steps: Augmentation) -> Augmentation:
    """One after the other, the first one first."""
    return Augmentation("chain", (), steps)


# ---------------------------------------------------------------- groups and views


def augmentations_of(
    *, basic: bool = True, size: bool = True, chain: bool = True, repeat: bool = True, seed: int = 0
) -> tuple[Augmentation, ...]:
    """The paper's groups that are wanted: 11 basic ones, 3 of size, 6 chains, 3 repeats. The seed draws the shift.

    Theirs shifts every grid by its own random amount; here all grids of a task move alike, so that the rule remains.
    """
    turns = (rotation(90), rotation(270), rotation(180), flip(UP_DOWN), flip(LEFT_RIGHT))
    mirrors = tuple(reflection(axis, first) for first in (True, False) for axis in (UP_DOWN, LEFT_RIGHT))
    return (
        *((*turns, *mirrors, _random_shift(seed), transposition()) if basic else ()),
        *((scaling(2, 2), scaling(2, 1), scaling(1, 2)) if size else ()),
        *((chained(turn, scaling(2, 2)) for turn in (*turns, transposition())) if chain else ()),
        *((repetition(2, 1), repetition(1, 2), repetition(2, 2)) if repeat else ()),
    )


def invertible_views(seed: int, count: int) -> tuple[Augmentation, ...]:
    """`count` ways to see a grid of the same size or turned: the identity, the 7 other symmetries, then coloured ones.

    From the ninth on each is a symmetry, in turn, and a colour permutation of its own that keeps 0.
    """
    if count < 1:
        raise InputError(f"{count} views are none; ask for at least 1")
    rounds = range(1, -(-count // len(SYMMETRIES)))
    coloured = (
        chained(symmetry, colour_permutation(random.Random(f"{seed} {round_} {at}").randrange(2**32)))
        for round_ in rounds
        for at, symmetry in enumerate(SYMMETRIES)
    )
    return (*SYMMETRIES, *coloured)[:count]


def on_task(augmentation: Augmentation, task: ArcTask) -> ArcTask | None:
    """Done to input and output of every example; None where one of them cannot take it. The id stays."""
    train = [_on_example(augmentation, example) for example in task.train]
    test = [_on_example(augmentation, example) for example in task.test]
    if None in train or None in test:
        return None
    return ArcTask(task.id, tuple(filter(None, train)), tuple(filter(None, test)))


def permuted(task: ArcTask, seed: int) -> ArcTask:
    """The training examples in another order, drawn by the seed."""
    train = list(task.train)
    random.Random(seed).shuffle(train)
    return dataclasses.replace(task, train=tuple(train))


def _random_shift(seed: int) -> Augmentation:
    """Anything up to MAX_SHIFT along each axis but no shift at all."""
    down, right = divmod(random.Random(seed).randrange(1, (MAX_SHIFT + 1) ** 2), MAX_SHIFT + 1)
    return translation(down, right)


def _on_example(augmentation: Augmentation, example: Example) -> Example | None:
    changed = augmentation.apply(example.input), augmentation.apply(example.output)
    return Example(changed[0], changed[1]) if changed[0] and changed[1] else None


# ---------------------------------------------------------------- what each name does


@dataclass(frozen=True, slots=True)
class _Map:
    """What an augmentation of one name does to cells, None where it cannot; and how it is taken back."""

    forward: Callable[[Cells, Augmentation], Cells | None]
    inverse: Callable[[Augmentation], Augmentation]


def _turned(cells: Cells, augmentation: Augmentation) -> Cells:
    return np.rot90(cells, augmentation.parameters[0] // 90)


def _scaled(cells: Cells, augmentation: Augmentation) -> Cells | None:
    height, width = augmentation.parameters
    if not _fits(cells, height, width):
        return None
    return cells.repeat(height, axis=0).repeat(width, axis=1)


def _repeated(cells: Cells, augmentation: Augmentation) -> Cells | None:
    return np.tile(cells, augmentation.parameters) if _fits(cells, *augmentation.parameters) else None


def _fits(cells: Cells, down: int, right: int) -> bool:
    return bool(cells.shape[0] * down <= MAX_SIDE and cells.shape[1] * right <= MAX_SIDE)


def _joined(cells: Cells, augmentation: Augmentation) -> Cells | None:
    (axis, own_first), (part,) = augmentation.parameters, augmentation.parts
    other = part.on_cells(cells)
    if other is None or other.shape[1 - axis] != cells.shape[1 - axis]:
        return None
    return np.concatenate((cells, other) if own_first else (other, cells), axis=axis)


def _after_all(cells: Cells, augmentation: Augmentation) -> Cells | None:
    changed: Cells | None = cells
    for step in augmentation.parts:
        if changed is not None:
            changed = step.on_cells(changed)
    return changed


def _undone_if(cells: Cells, augmentation: Augmentation, candidate: Cells) -> Cells | None:
    """The candidate, if it is really what `augmentation` takes back from these cells."""
    again = augmentation.inverse.on_cells(candidate)
    return candidate if again is not None and np.array_equal(again, cells) else None


def _unscaled(cells: Cells, augmentation: Augmentation) -> Cells | None:
    height, width = augmentation.parameters
    return _undone_if(cells, augmentation, cells[::height, ::width])


def _unrepeated(cells: Cells, augmentation: Augmentation) -> Cells | None:
    down, right = augmentation.parameters
    part = cells[: cells.shape[0] // down, : cells.shape[1] // right]
    return _undone_if(cells, augmentation, part) if part.size else None


def _unjoined(cells: Cells, augmentation: Augmentation) -> Cells | None:
    """The part of a joined grid that is its own; where the other begins is tried out."""
    axis, own_first = augmentation.parameters
    for cut in range(1, cells.shape[axis]):
        parts = np.split(cells, [cut], axis=axis)
        if (own := _undone_if(cells, augmentation, parts[0 if own_first else 1])) is not None:
            return own
    return None


def _renamed(name: str) -> Callable[[Augmentation], Augmentation]:
    """The inverse that differs by its name alone."""
    return lambda augmentation: dataclasses.replace(augmentation, name=name)


_MAPS = {
    "identity": _Map(lambda cells, _: cells, lambda a: a),
    "rotation": _Map(_turned, lambda a: rotation(360 - a.parameters[0])),
    "flip": _Map(lambda cells, a: np.flip(cells, a.parameters[0]), lambda a: a),
    "transposition": _Map(lambda cells, _: cells.T, lambda a: a),
    "anti-transposition": _Map(lambda cells, _: np.rot90(cells, 2).T, lambda a: a),
    "translation": _Map(
        lambda cells, a: np.roll(cells, a.parameters, axis=(0, 1)), lambda a: translation(*(-n for n in a.parameters))
    ),
    "recolouring": _Map(
        lambda cells, a: np.array(a.parameters, dtype=np.uint8)[cells],
        lambda a: Augmentation("recolouring", tuple(map(a.parameters.index, range(COLOURS)))),
    ),
    "scaling": _Map(_scaled, _renamed("unscaling")),
    "unscaling": _Map(_unscaled, _renamed("scaling")),
    "repetition": _Map(_repeated, _renamed("unrepetition")),
    "unrepetition": _Map(_unrepeated, _renamed("repetition")),
    "joined": _Map(_joined, _renamed("unjoined")),
    "unjoined": _Map(_unjoined, _renamed("joined")),
    "chain": _Map(_after_all, lambda a: chained(*(step.inverse for step in reversed(a.parts)))),
}

IDENTITY = Augmentation("identity")
SYMMETRIES = (
    IDENTITY,
    transposition(),
    flip(UP_DOWN),
    flip(LEFT_RIGHT),
    rotation(180),
    rotation(90),
    rotation(270),
    transposition(anti=True),
)
"""The eight symmetries of a square; what leaves a grid's shape alone comes with what turns it."""
