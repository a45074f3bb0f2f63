"""How a task looks: the colours of its cells, and a PNG of examples, gold and attempts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from seal_agent.arc.grids import ArcTask, Grid
from seal_agent.errors import InputError, MissingDependency

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

PALETTE = (
    "#000000",
    "#0074D9",
    "#FF4136",
    "#2ECC40",
    "#FFDC00",
    "#AAAAAA",
    "#F012BE",
    "#FF851B",
    "#7FDBFF",
    "#870C25",
)
"""Colours 0 to 9 as in the testing interface of ARC-AGI (github.com/fchollet/ARC-AGI, apps/testing_interface)."""

RIGHT, WRONG = "#2E8B57", "#C0392B"
_PAPER, _INK, _LINES = "#FFFFFF", "#222222", "#555555"
_GAP = 24  # pixels between columns, and around the picture
_CAPTION = 22  # height of a line of text
_ARROW = 30  # height of what stands between an input and its output
_WIDEST = 240  # of a grid, where cells need not be smaller than _SMALLEST for it
_SMALLEST, _LARGEST = 8, 28  # side of a cell


def cells(grid: Grid) -> tuple[tuple[str, ...], ...]:
    """The colour of every cell, "#rrggbb", row by row."""
    return tuple(tuple(PALETTE[cell] for cell in row) for row in grid.rows)


@dataclass(frozen=True, slots=True)
class _Column:
    """An input above its output; an attempt has no input of its own, and a mark that says whether it is right."""

    above: str
    input: Grid | None
    below: str
    output: Grid | None
    right: bool | None = None


def draw_task(task: ArcTask, attempts: Sequence[Grid | None] = ()) -> Image:
    """Examples side by side, tests with gold; attempts at the first test beside it, None where no grid was read.

    Raises MissingDependency where Pillow is not installed.
    """
    try:
        from PIL import Image, ImageDraw
    except ImportError as err:
        raise MissingDependency("pictures of ARC tasks need Pillow: pip install 'seal-agent[arc]'") from err
    columns = list(_columns(task, attempts))
    side = _cell_side(columns)
    widths = [_width(column, side) for column in columns]
    heights = [max((one.shape[0] for one in some if one), default=1) * side for some in _rows_of(columns)]
    size = sum(widths) + _GAP * (len(columns) + 1), sum(heights) + 2 * _CAPTION + _ARROW + 2 * _GAP
    image = Image.new("RGB", size, _PAPER)
    brush, left = ImageDraw.Draw(image), _GAP
    for column, width in zip(columns, widths, strict=True):
        _draw_column(brush, column, (left, _GAP), heights[0], side)
        left += width + _GAP
    return image


def write_png(path: str | Path, task: ArcTask, attempts: Sequence[Grid | None] = ()) -> None:
    """`draw_task` into a file. Raises InputError where it cannot be written."""
    image = draw_task(task, attempts)
    try:
        image.save(path, format="PNG")
    except OSError as err:
        raise InputError(f"{path} cannot be written ({err.strerror}); give a file in a folder that is there") from err


# ---------------------------------------------------------------- what stands where


def _columns(task: ArcTask, attempts: Sequence[Grid | None]) -> Iterator[_Column]:
    for number, example in enumerate(task.train, 1):
        yield _Column(f"example {number}", example.input, "output", example.output)
    for number, test in enumerate(task.test, 1):
        yield _Column("test" if len(task.test) == 1 else f"test {number}", test.input, "gold", test.output)
        if number == 1:
            for tried, attempt in enumerate(attempts, 1):
                yield _Column("", None, f"attempt {tried}", attempt, attempt == test.output)


def _rows_of(columns: Sequence[_Column]) -> tuple[list[Grid | None], list[Grid | None]]:
    return [column.input for column in columns], [column.output for column in columns]


def _cell_side(columns: Sequence[_Column]) -> int:
    """One size for all cells of a picture, so that grids compare."""
    largest = max(max(grid.shape) for row in _rows_of(columns) for grid in row if grid)
    return max(_SMALLEST, min(_LARGEST, _WIDEST // largest))


def _width(column: _Column, side: int) -> int:
    """Of the wider grid, and of the captions."""
    words = 90 if column.right is None else 110
    return max(words, *(grid.shape[1] * side for grid in (column.input, column.output) if grid), 0)


# ---------------------------------------------------------------- the drawing itself


def _draw_column(brush: ImageDraw, column: _Column, corner: tuple[int, int], input_height: int, side: int) -> None:
    """`input_height`: of the tallest input, below which all outputs begin."""
    left, top = corner
    below = top + _CAPTION + input_height + _ARROW
    _write(brush, (left, top), column.above)
    if column.input:
        _draw_grid(brush, column.input, (left, top + _CAPTION), side)
        _draw_arrow(brush, (left, top + _CAPTION + column.input.shape[0] * side))
    _write(brush, (left, below), column.below)
    if column.right is not None:
        _draw_mark(brush, (left + 84, below), column.right)
    if column.output:
        _draw_grid(brush, column.output, (left, below + _CAPTION), side)
    else:
        _write(brush, (left, below + _CAPTION), "no grid", WRONG)


def _draw_grid(brush: ImageDraw, grid: Grid, corner: tuple[int, int], side: int) -> None:
    left, top = corner
    for down, row in enumerate(cells(grid)):
        for right, colour in enumerate(row):
            x, y = left + right * side, top + down * side
            brush.rectangle((x, y, x + side, y + side), fill=colour, outline=_LINES)


def _draw_arrow(brush: ImageDraw, corner: tuple[int, int]) -> None:
    """Downward, below an input."""
    x, y = corner[0] + 8, corner[1] + 6
    brush.line((x, y, x, y + 12), fill=_INK, width=2)
    brush.polygon([(x - 5, y + 11), (x + 5, y + 11), (x, y + 18)], fill=_INK)


def _draw_mark(brush: ImageDraw, corner: tuple[int, int], right: bool) -> None:
    """A tick or a cross of lines: fonts do not have them for certain."""
    x, y = corner
    if right:
        brush.line([(x, y + 8), (x + 5, y + 13), (x + 14, y + 2)], fill=RIGHT, width=3, joint="curve")
        return
    brush.line((x + 1, y + 2, x + 12, y + 13), fill=WRONG, width=3)
    brush.line((x + 12, y + 2, x + 1, y + 13), fill=WRONG, width=3)


def _write(brush: ImageDraw, corner: tuple[int, int], words: str, colour: str = _INK) -> None:
    brush.text(corner, words, fill=colour, font_size=14)
