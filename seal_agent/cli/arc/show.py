"""A task and attempts at it in the terminal."""

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
    """Pairs in columns, as many beside each other as the terminal is wide."""
    blocks = [_pair(f"example {number}", one.input, "output", one.output) for number, one in enumerate(task.train, 1)]
    for number, test in enumerate(task.test, 1):
        title = "test" if len(task.test) == 1 else f"test {number}"
        blocks.append(_pair(title, test.input, "gold", test.output))
    gold = task.test[0].output
    blocks += [_attempt_block(number, one, gold) for number, one in enumerate(attempts, 1)]
    console.out.print(Text(task.id, style="bold"))
    console.out.print(Columns([Padding(block, (1, 2, 0, 0)) for block in blocks]))


def _pair(above: str, given: Grid, below: str, wanted: Grid) -> Group:
    return Group(Text(above, style="bold"), _drawn(given), Text(f"↓ {below}", style="dim"), _drawn(wanted))


def _attempt_block(number: int, attempt: Grid | None, gold: Grid) -> Group:
    from seal_agent.arc.grids import cell_accuracy

    name = Text(f"attempt {number} ", style="bold")
    if attempt is None:
        return Group(name.append("✗ no grid", style="red"))
    share = cell_accuracy(attempt, gold)
    mark = ("✓", "green") if attempt == gold else (f"✗ {share:.0%} of cells", "red")
    return Group(name.append(*mark), _drawn(attempt))


def _drawn(grid: Grid) -> Text:
    """Two spaces a cell on its colour; digits where the terminal has no colours."""
    from seal_agent.arc.grids import format_grid
    from seal_agent.arc.picture import cells

    lines = Text(no_wrap=True, overflow="ignore")
    if console.out.color_system is None or console.out.no_color:
        return lines.append(format_grid(grid, "compact"))
    for number, row in enumerate(cells(grid)):
        lines.append("\n" if number else "")
        for colour in row:
            lines.append("  ", style=f"on {colour}")
    return lines
