"""Augmentations of grids and tasks that keep the task's rule. Each is plain data and has an inverse.

The groups follow Akyürek et al. 2024, arXiv 2411.07279 (appendix on augmentations), as adopted by SEAL v2.
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
"""numpy axes: 0 runs down the rows, 1 along them."""


@dataclass(frozen=True, slots=True)
class Augmentation:
    """The name of an operation, its integer parameters, and the augmentations it is composed of.

    Build one with the functions below. It is a partial one-to-one map: where `apply` returns a grid, `inverse.apply`
    maps that back to the original. Raises InputError for an unknown name.
    """

    name: str
    parameters: tuple[int, ...] = ()
    parts: tuple[Augmentation, ...] = ()

    def __post_init__(self) -> None:
        if self.name not in _OPERATIONS:
            raise InputError(f"there is no augmentation {self.name!r}; use {', '.join(sorted(_OPERATIONS))}")

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Augmentation:
        """Restore an augmentation from `dataclasses.asdict` of it, before or after a round trip through JSON."""
        return cls(value["name"], tuple(value["parameters"]), tuple(map(cls.from_json, value["parts"])))

    def apply(self, grid: Grid) -> Grid | None:
        """The augmented grid; None where it would exceed 30 × 30, or the operation does not apply to this grid."""
        cells = self.apply_to_cells(grid.array)
        return None if cells is None else Grid.of(cells)

    def apply_to_cells(self, cells: Cells) -> Cells | None:
        """Like `apply`, on an array of cells (rows, columns)."""
        augmented = _OPERATIONS[self.name].forward(cells, self)
        return None if augmented is None or max(augmented.shape) > MAX_SIDE else augmented

    @property
    def inverse(self) -> Augmentation:
        """The augmentation that undoes this one."""
        return _OPERATIONS[self.name].inverse(self)

    def __str__(self) -> str:
        arguments = ", ".join([*map(str, self.parameters), *map(str, self.parts)])
        return f"{self.name}({arguments})" if arguments else self.name


# ---------------------------------------------------------------- single augmentations


def rotation(degrees: int) -> Augmentation:
    """Rotate counter-clockwise by 90, 180 or 270 degrees. Raises InputError for other angles."""
    if degrees not in (90, 180, 270):
        raise InputError(f"a grid cannot be rotated by {degrees} degrees; use 90, 180 or 270")
    return Augmentation("rotation", (degrees,))


def flip(axis: int) -> Augmentation:
    """Mirror along an axis: UP_DOWN or LEFT_RIGHT."""
    return Augmentation("flip", (axis,))


def transposition(anti: bool = False) -> Augmentation:
    """Mirror on the main diagonal, or (`anti`) on the anti-diagonal."""
    return Augmentation("anti-transposition" if anti else "transposition")


def translation(down: int, right: int) -> Augmentation:
    """Shift by this many cells; cells that leave at one border re-enter at the opposite one."""
    return Augmentation("translation", (down, right))


def scaling(height: int, width: int) -> Augmentation:
    """Upscale: every cell becomes a block of `height` × `width` equal cells."""
    return Augmentation("scaling", (height, width))


def repetition(down: int, right: int) -> Augmentation:
    """Tile the grid `down` times vertically and `right` times horizontally."""
    return Augmentation("repetition", (down, right))


def concatenation(axis: int, augmentation: Augmentation, original_first: bool = True) -> Augmentation:
    """Concatenate the grid and its augmented version: UP_DOWN stacks them, LEFT_RIGHT puts them side by side."""
    return Augmentation("joined", (axis, int(original_first)), (augmentation,))


def reflection(axis: int, mirrored_first: bool = False) -> Augmentation:
    """Concatenate the grid and its mirror image along an axis."""
    return concatenation(axis, flip(axis), original_first=not mirrored_first)


def colour_permutation(seed: int, keep_background: bool = True) -> Augmentation:
    """A random permutation of the colours; with `keep_background` colour 0 stays."""
    first = int(keep_background)
    shuffled = list(range(first, COLOURS))
    random.Random(seed).shuffle(shuffled)
    return Augmentation("recolouring", (*range(first), *shuffled))


def chained(*steps: Augmentation) -> Augmentation:
    """Apply the steps in order."""
    return Augmentation("chain", (), steps)


# ---------------------------------------------------------------- groups and views


def select_augmentations(
    *, basic: bool = True, size: bool = True, chain: bool = True, repeat: bool = True, seed: int = 0
) -> tuple[Augmentation, ...]:
    """The paper's augmentations in the selected groups: 11 basic, 3 size, 6 chain, 3 repeat.

    The seed draws the translation. The paper shifts each grid by its own random amount; here all grids of a task share
    one shift, which keeps the rule intact.
    """
    symmetries = (rotation(90), rotation(270), rotation(180), flip(UP_DOWN), flip(LEFT_RIGHT))
    reflections = tuple(reflection(axis, first) for first in (True, False) for axis in (UP_DOWN, LEFT_RIGHT))
    return (
        *((*symmetries, *reflections, _random_shift(seed), transposition()) if basic else ()),
        *((scaling(2, 2), scaling(2, 1), scaling(1, 2)) if size else ()),
        *((chained(symmetry, scaling(2, 2)) for symmetry in (*symmetries, transposition())) if chain else ()),
        *((repetition(2, 1), repetition(1, 2), repetition(2, 2)) if repeat else ()),
    )


def invertible_views(seed: int, count: int) -> tuple[Augmentation, ...]:
    """`count` invertible views of a grid: the identity, the 7 other symmetries, then recoloured ones.

    From the ninth on, each is a symmetry followed by its own colour permutation that keeps 0. Raises InputError for a
    count below 1.
    """
    if count < 1:
        raise InputError(f"{count} views are none; ask for at least 1")
    rounds = range(1, -(-count // len(SYMMETRIES)))
    recoloured = (
        chained(symmetry, colour_permutation(random.Random(f"{seed} {round_} {index}").randrange(2**32)))
        for round_ in rounds
        for index, symmetry in enumerate(SYMMETRIES)
    )
    return (*SYMMETRIES, *recoloured)[:count]


def augment_task(augmentation: Augmentation, task: ArcTask) -> ArcTask | None:
    """The task with every input and output augmented, under the same id; None where a grid cannot be augmented."""
    train = [_augment_example(augmentation, example) for example in task.train]
    test = [_augment_example(augmentation, example) for example in task.test]
    if None in train or None in test:
        return None
    return ArcTask(task.id, tuple(filter(None, train)), tuple(filter(None, test)))


def permute_examples(task: ArcTask, seed: int) -> ArcTask:
    """The task with its training examples in an order drawn by the seed."""
    train = list(task.train)
    random.Random(seed).shuffle(train)
    return dataclasses.replace(task, train=tuple(train))


def _random_shift(seed: int) -> Augmentation:
    """A shift of up to MAX_SHIFT along each axis, never zero along both."""
    down, right = divmod(random.Random(seed).randrange(1, (MAX_SHIFT + 1) ** 2), MAX_SHIFT + 1)
    return translation(down, right)


def _augment_example(augmentation: Augmentation, example: Example) -> Example | None:
    input_, output = augmentation.apply(example.input), augmentation.apply(example.output)
    return Example(input_, output) if input_ and output else None


# ---------------------------------------------------------------- operations by name


@dataclass(frozen=True, slots=True)
class _Operation:
    """How augmentations of one name act on cells (None where they do not apply), and their inverse."""

    forward: Callable[[Cells, Augmentation], Cells | None]
    inverse: Callable[[Augmentation], Augmentation]


def _rotate(cells: Cells, augmentation: Augmentation) -> Cells:
    return np.rot90(cells, augmentation.parameters[0] // 90)


def _scale(cells: Cells, augmentation: Augmentation) -> Cells | None:
    height, width = augmentation.parameters
    if not _fits(cells, height, width):
        return None
    return cells.repeat(height, axis=0).repeat(width, axis=1)


def _repeat(cells: Cells, augmentation: Augmentation) -> Cells | None:
    return np.tile(cells, augmentation.parameters) if _fits(cells, *augmentation.parameters) else None


def _fits(cells: Cells, down: int, right: int) -> bool:
    return bool(cells.shape[0] * down <= MAX_SIDE and cells.shape[1] * right <= MAX_SIDE)


def _concatenate(cells: Cells, augmentation: Augmentation) -> Cells | None:
    (axis, original_first), (part,) = augmentation.parameters, augmentation.parts
    augmented = part.apply_to_cells(cells)
    if augmented is None or augmented.shape[1 - axis] != cells.shape[1 - axis]:
        return None
    return np.concatenate((cells, augmented) if original_first else (augmented, cells), axis=axis)


def _apply_chain(cells: Cells, augmentation: Augmentation) -> Cells | None:
    augmented: Cells | None = cells
    for step in augmentation.parts:
        if augmented is not None:
            augmented = step.apply_to_cells(augmented)
    return augmented


def _checked_inverse(cells: Cells, augmentation: Augmentation, candidate: Cells) -> Cells | None:
    """The candidate, if applying the inverse of `augmentation` to it gives these cells back."""
    restored = augmentation.inverse.apply_to_cells(candidate)
    return candidate if restored is not None and np.array_equal(restored, cells) else None


def _unscale(cells: Cells, augmentation: Augmentation) -> Cells | None:
    height, width = augmentation.parameters
    return _checked_inverse(cells, augmentation, cells[::height, ::width])


def _unrepeat(cells: Cells, augmentation: Augmentation) -> Cells | None:
    down, right = augmentation.parameters
    part = cells[: cells.shape[0] // down, : cells.shape[1] // right]
    return _checked_inverse(cells, augmentation, part) if part.size else None


def _split(cells: Cells, augmentation: Augmentation) -> Cells | None:
    """The original part of a concatenated grid, found by trying every cut."""
    axis, original_first = augmentation.parameters
    for cut in range(1, cells.shape[axis]):
        parts = np.split(cells, [cut], axis=axis)
        if (original := _checked_inverse(cells, augmentation, parts[0 if original_first else 1])) is not None:
            return original
    return None


def _with_name(name: str) -> Callable[[Augmentation], Augmentation]:
    """An inverse that differs from its augmentation only by name."""
    return lambda augmentation: dataclasses.replace(augmentation, name=name)


_OPERATIONS = {
    "identity": _Operation(lambda cells, _: cells, lambda a: a),
    "rotation": _Operation(_rotate, lambda a: rotation(360 - a.parameters[0])),
    "flip": _Operation(lambda cells, a: np.flip(cells, a.parameters[0]), lambda a: a),
    "transposition": _Operation(lambda cells, _: cells.T, lambda a: a),
    "anti-transposition": _Operation(lambda cells, _: np.rot90(cells, 2).T, lambda a: a),
    "translation": _Operation(
        lambda cells, a: np.roll(cells, a.parameters, axis=(0, 1)), lambda a: translation(*(-n for n in a.parameters))
    ),
    "recolouring": _Operation(
        lambda cells, a: np.array(a.parameters, dtype=np.uint8)[cells],
        lambda a: Augmentation("recolouring", tuple(map(a.parameters.index, range(COLOURS)))),
    ),
    "scaling": _Operation(_scale, _with_name("unscaling")),
    "unscaling": _Operation(_unscale, _with_name("scaling")),
    "repetition": _Operation(_repeat, _with_name("unrepetition")),
    "unrepetition": _Operation(_unrepeat, _with_name("repetition")),
    "joined": _Operation(_concatenate, _with_name("unjoined")),
    "unjoined": _Operation(_split, _with_name("joined")),
    "chain": _Operation(_apply_chain, lambda a: chained(*(step.inverse for step in reversed(a.parts)))),
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
"""The eight symmetries of a square, those that keep a grid's shape and those that swap its sides."""
