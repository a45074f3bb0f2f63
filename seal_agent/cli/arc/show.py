"""Show a task and attempts at it in the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.columns import Columns
from rich.console import Group
from rich.padding import Padding
from rich.text import Text

from seal_agent.cli import console

if TYPE_CHECKING:
    from seal_agent.arc.grids import ArcTask, Grid


def show_task(task: ArcTask, attempts: Sequence[Grid | None]) -> None:
    """Print examples, tests and attempts in as many columns as the terminal fits."""
    blocks = [
        _pair(f"example {number}", example.input, "output", example.output)
        for number, example in enumerate(task.train, 1)
    ]
    for number, test in enumerate(task.test, 1):
        title = "test" if len(task.test) == 1 else f"test {number}"
        blocks.append(_pair(title, test.input, "gold", test.output))
    gold = task.test[0].output
    blocks += [_attempt_block(number, attempt, gold) for number, attempt in enumerate(attempts, 1)]
    console.out.print(Text(task.id, style="bold"))
    console.out.print(Columns([Padding(block, (1, 2, 0, 0)) for block in blocks]))


def _pair(title: str, input_: Grid, output_label: str, output: Grid) -> Group:
    return Group(Text(title, style="bold"), _render(input_), Text(f"↓ {output_label}", style="dim"), _render(output))


def _attempt_block(number: int, attempt: Grid | None, gold: Grid) -> Group:
    from seal_agent.arc.grids import cell_accuracy

    title = Text(f"attempt {number} ", style="bold")
    if attempt is None:
        return Group(title.append("✗ no grid", style="red"))
    accuracy = cell_accuracy(attempt, gold)
    mark = ("✓", "green") if attempt == gold else (f"✗ {accuracy:.0%} of cells", "red")
    return Group(title.append(*mark), _render(attempt))


def _render(grid: Grid) -> Text:
    """Each cell as two spaces on its colour, or as a digit where the terminal has no colours."""
    from seal_agent.arc.grids import format_grid
    from seal_agent.arc.picture import cell_colours

    text = Text(no_wrap=True, overflow="ignore")
    if console.out.color_system is None or console.out.no_color:
        return text.append(format_grid(grid, "compact"))
    for row, colours in enumerate(cell_colours(grid)):
        text.append("\n" if row else "")
        for colour in colours:
            text.append("  ", style=f"on {colour}")
    return text
