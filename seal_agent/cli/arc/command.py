"""`seal arc`: show, list and solve ARC tasks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seal_agent.cli import console
from seal_agent.cli.arc.show import show_task
from seal_agent.cli.arc.solve import EXAMPLE as SOLVE_EXAMPLE
from seal_agent.cli.arc.solve import solve
from seal_agent.cli.options import Json, grouped, print_json
from seal_agent.errors import InputError

if TYPE_CHECKING:
    from seal_agent.arc.grids import ArcTask, Grid

arc = typer.Typer(
    name="arc",
    help="ARC tasks: show them with attempts, list them, solve them.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    epilog="Example: seal arc show 6150a2bd",
)


@arc.command(epilog="Example: seal arc show 6150a2bd --attempts attempts.json --png 6150a2bd.png")
def show(
    task: Annotated[str, typer.Argument(metavar="TASK", help="An id, a toy's (toy-flip-003), or ARC's JSON file.")],
    attempts: Annotated[
        Path | None,
        typer.Option(help='JSON: {"attempts": \\[grid or null, …]} at the first test input, or task id → attempts.'),
    ] = None,
    png: Annotated[Path | None, typer.Option(help="Draw it to this file too.")] = None,
    as_json: Json = False,
) -> None:
    """Show a task's examples, its test with gold, and attempts with their share of correct cells."""
    from seal_agent.arc.data import find_task, task_to_dict
    from seal_agent.arc.grids import cell_accuracy

    arc_task = find_task(task)
    grids = _read_attempts(attempts, arc_task.id) if attempts else ()
    if png:
        from seal_agent.arc.picture import write_png

        write_png(png, arc_task, grids)
    if as_json:
        gold = arc_task.test[0].output
        rows = [
            {"grid": grid and grid.rows, "right": grid == gold, "cell_accuracy": cell_accuracy(grid, gold)}
            for grid in grids
        ]
        print_json(id=arc_task.id, **task_to_dict(arc_task), attempts=rows, png=str(png) if png else None)
        return
    show_task(arc_task, grids)
    if png:
        console.out.print(f"wrote {png}", markup=False, soft_wrap=True)


@arc.command(name="list", epilog="Example: seal arc list --split eval1")
def list_(
    split: Annotated[
        str | None,
        typer.Option(help="train1, eval1, train2, eval2, paper-train, paper-eval, toy. \\[default: names]"),
    ] = None,
    as_json: Json = False,
) -> None:
    """List the splits, or the tasks of one: id, examples, tests, and the largest grid."""
    from seal_agent.arc.data import SPLITS, load_split

    if split is None:
        if as_json:
            print_json(splits=SPLITS)
            return
        for name, title in SPLITS.items():
            typer.echo(f"{name}\t{title}")
        return
    rows = [_summary(task) for task in load_split(split)]
    if as_json:
        print_json(split=split, tasks=rows)
        return
    for row in rows:
        height, width = row["largest"]
        typer.echo(f"{row['id']}\texamples {row['train']}\ttests {row['test']}\tlargest {height} × {width}")


arc.command(epilog=SOLVE_EXAMPLE)(grouped(solve))


# ---------------------------------------------------------------- reading attempts


def _read_attempts(path: Path, task_id: str) -> tuple[Grid | None, ...]:
    """Attempts at a task from a JSON file. Raises InputError that names the file and the invalid attempt."""
    from seal_agent.data.text_files import read_text

    expected = 'give {"attempts": [grid or null, …]}, or the same list under the task\'s id'
    try:
        value = json.loads(read_text(path))
    except (json.JSONDecodeError, RecursionError) as err:
        raise InputError(f"{path} is not JSON ({err}); {expected}") from err
    attempts = value.get(task_id, value.get("attempts")) if isinstance(value, dict) else None
    if isinstance(attempts, dict):
        attempts = attempts.get("attempts")
    if not isinstance(attempts, list):
        raise InputError(f"{path} holds no attempts at {task_id}; {expected}")
    return tuple(_parse_attempt(attempt, f"attempt {number} in {path}") for number, attempt in enumerate(attempts, 1))


def _parse_attempt(value: Any, where: str) -> Grid | None:
    from seal_agent.arc.grids import Grid

    if value is None:
        return None
    try:
        return Grid.of(value)
    except InputError as err:
        raise InputError(f"{where}: {err}") from err


# ---------------------------------------------------------------- JSON


def _summary(task: ArcTask) -> dict[str, Any]:
    shapes = [grid.shape for example in (*task.train, *task.test) for grid in (example.input, example.output)]
    largest = max(shapes, key=lambda shape: shape[0] * shape[1])
    return {"id": task.id, "train": len(task.train), "test": len(task.test), "largest": largest}
