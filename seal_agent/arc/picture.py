"""Pictures of tasks: the colours of cells, and a PNG of the examples, the gold output and attempts."""

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
"""Colours 0 to 9, from the testing interface of ARC-AGI (github.com/fchollet/ARC-AGI, apps/testing_interface)."""

RIGHT, WRONG = "#2E8B57", "#C0392B"
_BACKGROUND, _INK, _LINES = "#FFFFFF", "#222222", "#555555"
_GAP = 24  # pixels between columns, and around the picture
_CAPTION = 22  # height of a line of text
_ARROW = 30  # height of the arrow between an input and its output
_MAX_GRID = 240  # side of a grid, unless its cells would be smaller than _MIN_CELL
_MIN_CELL, _MAX_CELL = 8, 28  # side of a cell


def cell_colours(grid: Grid) -> tuple[tuple[str, ...], ...]:
    """The colour of every cell as "#rrggbb", row by row."""
    return tuple(tuple(PALETTE[cell] for cell in row) for row in grid.rows)


@dataclass(frozen=True, slots=True)
class _Column:
    """An input above its output. An attempt has no input, and is marked correct or wrong."""

    input_caption: str
    input: Grid | None
    output_caption: str
    output: Grid | None
    correct: bool | None = None


def draw_task(task: ArcTask, attempts: Sequence[Grid | None] = ()) -> Image:
    """Draw the examples and the tests with gold side by side, and attempts at the first test next to it.

    An attempt of None is one without a readable grid. Raises MissingDependency where Pillow is not installed.
    """
    try:
        from PIL import Image, ImageDraw
    except ImportError as err:
        raise MissingDependency("pictures of ARC tasks need Pillow: pip install 'seal-agent[arc]'") from err
    columns = list(_columns(task, attempts))
    side = _cell_side(columns)
    widths = [_width(column, side) for column in columns]
    heights = [max((grid.shape[0] for grid in row if grid), default=1) * side for row in _grid_rows(columns)]
    size = sum(widths) + _GAP * (len(columns) + 1), sum(heights) + 2 * _CAPTION + _ARROW + 2 * _GAP
    image = Image.new("RGB", size, _BACKGROUND)
    canvas, left = ImageDraw.Draw(image), _GAP
    for column, width in zip(columns, widths, strict=True):
        _draw_column(canvas, column, (left, _GAP), heights[0], side)
        left += width + _GAP
    return image


def write_png(path: str | Path, task: ArcTask, attempts: Sequence[Grid | None] = ()) -> None:
    """Draw a task into a PNG file. Raises InputError where it cannot be written."""
    image = draw_task(task, attempts)
    try:
        image.save(path, format="PNG")
    except OSError as err:
        raise InputError(f"{path} cannot be written ({err.strerror}); give a file in a folder that is there") from err


# ---------------------------------------------------------------- layout


def _columns(task: ArcTask, attempts: Sequence[Grid | None]) -> Iterator[_Column]:
    for number, example in enumerate(task.train, 1):
        yield _Column(f"example {number}", example.input, "output", example.output)
    for number, test in enumerate(task.test, 1):
        yield _Column("test" if len(task.test) == 1 else f"test {number}", test.input, "gold", test.output)
        if number == 1:
            for attempt_number, attempt in enumerate(attempts, 1):
                yield _Column("", None, f"attempt {attempt_number}", attempt, attempt == test.output)


def _grid_rows(columns: Sequence[_Column]) -> tuple[list[Grid | None], list[Grid | None]]:
    return [column.input for column in columns], [column.output for column in columns]


def _cell_side(columns: Sequence[_Column]) -> int:
    """One cell size for the whole picture, so that grids can be compared."""
    largest = max(max(grid.shape) for row in _grid_rows(columns) for grid in row if grid)
    return max(_MIN_CELL, min(_MAX_CELL, _MAX_GRID // largest))


def _width(column: _Column, side: int) -> int:
    """Width of the widest part of a column: a grid or a caption."""
    caption = 90 if column.correct is None else 110
    return max(caption, *(grid.shape[1] * side for grid in (column.input, column.output) if grid), 0)


# ---------------------------------------------------------------- drawing


def _draw_column(canvas: ImageDraw, column: _Column, corner: tuple[int, int], input_height: int, side: int) -> None:
    """Draw one column. All outputs start below the tallest input, whose height is `input_height`."""
    left, top = corner
    output_top = top + _CAPTION + input_height + _ARROW
    _draw_text(canvas, (left, top), column.input_caption)
    if column.input:
        _draw_grid(canvas, column.input, (left, top + _CAPTION), side)
        _draw_arrow(canvas, (left, top + _CAPTION + column.input.shape[0] * side))
    _draw_text(canvas, (left, output_top), column.output_caption)
    if column.correct is not None:
        _draw_mark(canvas, (left + 84, output_top), column.correct)
    if column.output:
        _draw_grid(canvas, column.output, (left, output_top + _CAPTION), side)
    else:
        _draw_text(canvas, (left, output_top + _CAPTION), "no grid", WRONG)


def _draw_grid(canvas: ImageDraw, grid: Grid, corner: tuple[int, int], side: int) -> None:
    left, top = corner
    for row, colours in enumerate(cell_colours(grid)):
        for column, colour in enumerate(colours):
            x, y = left + column * side, top + row * side
            canvas.rectangle((x, y, x + side, y + side), fill=colour, outline=_LINES)


def _draw_arrow(canvas: ImageDraw, corner: tuple[int, int]) -> None:
    """Draw a downward arrow below an input."""
    x, y = corner[0] + 8, corner[1] + 6
    canvas.line((x, y, x, y + 12), fill=_INK, width=2)
    canvas.polygon([(x - 5, y + 11), (x + 5, y + 11), (x, y + 18)], fill=_INK)


def _draw_mark(canvas: ImageDraw, corner: tuple[int, int], correct: bool) -> None:
    """Draw a tick or a cross from lines, since fonts may lack the characters."""
    x, y = corner
    if correct:
        canvas.line([(x, y + 8), (x + 5, y + 13), (x + 14, y + 2)], fill=RIGHT, width=3, joint="curve")
        return
    canvas.line((x + 1, y + 2, x + 12, y + 13), fill=WRONG, width=3)
    canvas.line((x + 12, y + 2, x + 1, y + 13), fill=WRONG, width=3)


def _draw_text(canvas: ImageDraw, corner: tuple[int, int], text: str, colour: str = _INK) -> None:
    canvas.text(corner, text, fill=colour, font_size=14)
