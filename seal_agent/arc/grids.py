"""Grids, examples and tasks of ARC, and a grid as text: written for a model, read back from what a model says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from seal_agent.errors import InputError

MAX_SIDE = 30
"""Rows, and columns, of the largest grid (ARC-AGI's own bound)."""

COLOURS = 10
"""A cell is 0..9; 0 is the background."""

Cells = NDArray[np.uint8]
"""A grid's cells, (rows, columns)."""

Style = Literal["lists", "compact"]
"""`[[0, 1], [2, 3]]` as the SEAL paper writes grids, or one character per cell and a line per row."""

STYLES: tuple[Style, ...] = ("lists", "compact")


@dataclass(frozen=True, slots=True)
class Grid:
    """1..30 rows of 1..30 cells, each 0..9. Equal to another by content, hashable, and plain enough for JSON.

    Raises InputError for anything else; `Grid.of` takes arrays and lists.
    """

    rows: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        if flaw := _flaw(self.rows):
            raise InputError(f"that is no grid: {flaw}; give 1 to {MAX_SIDE} equally long rows of digits 0 to 9")

    @classmethod
    def of(cls, rows: Any) -> Grid:
        """From an integer array (rows, columns) or lists of lists."""
        values = rows.tolist() if isinstance(rows, np.ndarray) else rows
        try:
            return cls(tuple(map(tuple, values)))
        except TypeError as err:
            raise InputError(f"that is no grid: {err}; give a list of rows, each a list of digits 0 to 9") from err

    @property
    def array(self) -> Cells:
        """The cells as uint8, (rows, columns): a copy of its own, free to be changed."""
        return np.array(self.rows, dtype=np.uint8)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows, columns."""
        return len(self.rows), len(self.rows[0])


@dataclass(frozen=True, slots=True)
class Example:
    """A grid, and what the task's rule makes of it."""

    input: Grid
    output: Grid


@dataclass(frozen=True, slots=True)
class ArcTask:
    """A rule shown by its training examples, and test examples whose outputs are to be found."""

    id: str
    train: tuple[Example, ...]
    test: tuple[Example, ...]


@dataclass(frozen=True, slots=True)
class Unparsed:
    """A text that holds no grid, and why."""

    reason: str


def cell_accuracy(predicted: Grid | None, gold: Grid) -> float:
    """Share of cells that are right, 0..1; 0 where nothing was predicted or the shape is another."""
    if predicted is None or predicted.shape != gold.shape:
        return 0.0
    return float((predicted.array == gold.array).mean())


def format_grid(grid: Grid, style: Style) -> str:
    """A grid as text; `parse_grid` reads it back."""
    if _known(style) == "lists":
        return "[" + ", ".join(f"[{', '.join(map(str, row))}]" for row in grid.rows) + "]"
    return "\n".join("".join(map(str, row)) for row in grid.rows)


def parse_grid(text: str, style: Style) -> Grid | Unparsed:
    """The first grid in a model's answer, whatever stands around it, or why there is none. Never raises for a text."""
    found = _read_lists(text) if _known(style) == "lists" else _read_compact(text)
    if isinstance(found, Unparsed):
        return found
    if flaw := _flaw(found):
        return Unparsed(flaw)
    return Grid(found)


# ---------------------------------------------------------------- reading

_Rows = tuple[tuple[int, ...], ...]
_LISTS = re.compile(r"\[\s*(?=\[)")
_ROW = re.compile(r"\s*\[([^\[\]]*)\]\s*")
_DIGITS = re.compile(r"[0-9]+", re.ASCII)
_ALL_DIGITS = set(range(COLOURS))


def _read_lists(text: str) -> _Rows | Unparsed:
    """Rows from the first `[[` on, to the bracket that closes it."""
    opening = _LISTS.search(text)
    if opening is None:
        return Unparsed("no grid found: there is no [[")
    rows: list[tuple[int, ...]] = []
    at = opening.end()
    while row := _ROW.match(text, at):
        cells = [cell.strip() for cell in row[1].split(",")]
        if wrong := [cell for cell in cells if not _is_cell(cell)]:
            return Unparsed(f"row {len(rows) + 1} holds {_short(wrong[0])} where a digit belongs")
        rows.append(tuple(map(int, cells)))
        after, at = text[row.end() : row.end() + 1], row.end() + 1
        if after == "]":
            return tuple(rows)
        if after != ",":
            break
    return Unparsed(f"the grid breaks off after {len(rows)} rows")


def _read_compact(text: str) -> _Rows | Unparsed:
    """The first line of nothing but digits, and the lines below it up to one that does not begin with a digit."""
    lines = [line.strip() for line in text.split("\n")]
    first = next((at for at, line in enumerate(lines) if _DIGITS.fullmatch(line)), None)
    if first is None:
        return Unparsed("no grid found: no line is all digits")
    rows: list[tuple[int, ...]] = []
    for line in lines[first:]:
        if not _DIGITS.match(line):
            break
        if not _DIGITS.fullmatch(line):
            return Unparsed(f"row {len(rows) + 1} is not all digits: {_short(line)}")
        rows.append(tuple(map(int, line)))
    return tuple(rows)


def _flaw(rows: _Rows) -> str:
    """What keeps rows from being a grid; "" where nothing does."""
    if not rows or not rows[0]:
        return "it is empty"
    widths = set(map(len, rows))
    if len(widths) > 1:
        return f"its rows are ragged, {min(widths)} to {max(widths)} cells"
    if len(rows) > MAX_SIDE or len(rows[0]) > MAX_SIDE:
        return f"it is too large, {len(rows)} × {len(rows[0])}"
    if set(map(type, chain.from_iterable(rows))) != {int} or not set(chain.from_iterable(rows)) <= _ALL_DIGITS:
        return "it holds something other than digits 0 to 9"
    return ""


def _is_cell(text: str) -> bool:
    return len(text) == 1 and text in "0123456789"


def _short(text: str) -> str:
    return repr(text if len(text) <= 20 else text[:19] + "…")


def _known(style: Style) -> Style:
    if style not in STYLES:
        raise InputError(f"there is no grid style {style!r}; use {' or '.join(STYLES)}")
    return style
