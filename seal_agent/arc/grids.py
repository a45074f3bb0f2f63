"""ARC grids, examples and tasks; grids formatted as text for a model and parsed from its completions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from seal_agent.errors import InputError

MAX_SIDE = 30
"""Largest number of rows, and of columns, in a grid (ARC-AGI's limit)."""

COLOURS = 10
"""Cells hold 0..9; 0 is the background."""

Cells = NDArray[np.uint8]
"""The cells of a grid, (rows, columns)."""

Style = Literal["lists", "compact"]
"""`[[0, 1], [2, 3]]` as in the SEAL paper, or one character per cell and one line per row."""

STYLES: tuple[Style, ...] = ("lists", "compact")


@dataclass(frozen=True, slots=True)
class Grid:
    """1..30 rows of 1..30 cells, each 0..9. Compared by content, hashable, and serialisable as JSON.

    Raises InputError for anything else; `Grid.of` converts arrays and lists.
    """

    rows: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        if error := _grid_error(self.rows):
            raise InputError(f"that is no grid: {error}; give 1 to {MAX_SIDE} equally long rows of digits 0 to 9")

    @classmethod
    def of(cls, rows: Any) -> Grid:
        """Convert an integer array (rows, columns) or a list of lists. Raises InputError."""
        values = rows.tolist() if isinstance(rows, np.ndarray) else rows
        try:
            return cls(tuple(map(tuple, values)))
        except TypeError as err:
            raise InputError(f"that is no grid: {err}; give a list of rows, each a list of digits 0 to 9") from err

    @property
    def array(self) -> Cells:
        """A writable copy of the cells as uint8, (rows, columns)."""
        return np.array(self.rows, dtype=np.uint8)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows, columns."""
        return len(self.rows), len(self.rows[0])


@dataclass(frozen=True, slots=True)
class Example:
    """An input grid, and the output that the task's rule maps it to."""

    input: Grid
    output: Grid


@dataclass(frozen=True, slots=True)
class ArcTask:
    """Training examples that demonstrate a rule, and test examples whose outputs are to be predicted."""

    id: str
    train: tuple[Example, ...]
    test: tuple[Example, ...]


@dataclass(frozen=True, slots=True)
class Unparsed:
    """The reason why no grid could be parsed."""

    reason: str


def cell_accuracy(predicted: Grid | None, gold: Grid) -> float:
    """Share of correct cells, 0..1; 0 without a prediction or for a different shape."""
    if predicted is None or predicted.shape != gold.shape:
        return 0.0
    return float((predicted.array == gold.array).mean())


def format_grid(grid: Grid, style: Style) -> str:
    """The grid as text; `parse_grid` parses it. Raises InputError for an unknown style."""
    if _checked_style(style) == "lists":
        return "[" + ", ".join(f"[{', '.join(map(str, row))}]" for row in grid.rows) + "]"
    return "\n".join("".join(map(str, row)) for row in grid.rows)


def parse_grid(text: str, style: Style) -> Grid | Unparsed:
    """The first grid in a completion, ignoring text around it, or the reason why there is none.

    Raises InputError for an unknown style only.
    """
    rows = _parse_lists(text) if _checked_style(style) == "lists" else _parse_compact(text)
    if isinstance(rows, Unparsed):
        return rows
    if error := _grid_error(rows):
        return Unparsed(error)
    return Grid(rows)


# ---------------------------------------------------------------- parsing

_Rows = tuple[tuple[int, ...], ...]
_LISTS = re.compile(r"\[\s*(?=\[)")
_ROW = re.compile(r"\s*\[([^\[\]]*)\]\s*")
_DIGITS = re.compile(r"[0-9]+", re.ASCII)
_ALL_DIGITS = set(range(COLOURS))


def _parse_lists(text: str) -> _Rows | Unparsed:
    """The rows from the first `[[` to its closing bracket."""
    opening = _LISTS.search(text)
    if opening is None:
        return Unparsed("no grid found: there is no [[")
    rows: list[tuple[int, ...]] = []
    position = opening.end()
    while row := _ROW.match(text, position):
        cells = [cell.strip() for cell in row[1].split(",")]
        if invalid := [cell for cell in cells if not _is_cell(cell)]:
            return Unparsed(f"row {len(rows) + 1} holds {_shortened(invalid[0])} where a digit belongs")
        rows.append(tuple(map(int, cells)))
        delimiter, position = text[row.end() : row.end() + 1], row.end() + 1
        if delimiter == "]":
            return tuple(rows)
        if delimiter != ",":
            break
    return Unparsed(f"the grid breaks off after {len(rows)} rows")


def _parse_compact(text: str) -> _Rows | Unparsed:
    """The first all-digit line, and the lines below it up to one that does not begin with a digit."""
    lines = [line.strip() for line in text.split("\n")]
    first = next((index for index, line in enumerate(lines) if _DIGITS.fullmatch(line)), None)
    if first is None:
        return Unparsed("no grid found: no line is all digits")
    rows: list[tuple[int, ...]] = []
    for line in lines[first:]:
        if not _DIGITS.match(line):
            break
        if not _DIGITS.fullmatch(line):
            return Unparsed(f"row {len(rows) + 1} is not all digits: {_shortened(line)}")
        rows.append(tuple(map(int, line)))
    return tuple(rows)


def _grid_error(rows: _Rows) -> str:
    """Why these rows are not a grid; "" where they are."""
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


def _shortened(text: str) -> str:
    return repr(text if len(text) <= 20 else text[:19] + "…")


def _checked_style(style: Style) -> Style:
    if style not in STYLES:
        raise InputError(f"there is no grid style {style!r}; use {' or '.join(STYLES)}")
    return style
