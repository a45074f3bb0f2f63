"""`seal arc`: see ARC tasks, solve them, look at what was tried, and which there are."""

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
    help="ARC tasks: see them, solve them, what was tried on them, and which there are.",
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
    """A task's examples, its test with gold, and attempts with what is right of them."""
    from seal_agent.arc.data import find_task, task_value
    from seal_agent.arc.grids import cell_accuracy

    found = find_task(task)
    tried = _read_attempts(attempts, found.id) if attempts else ()
    if png:
        from seal_agent.arc.picture import write_png

        write_png(png, found, tried)
    if as_json:
        gold = found.test[0].output
        rows = [
            {"grid": one and one.rows, "right": one == gold, "cell_accuracy": cell_accuracy(one, gold)} for one in tried
        ]
        print_json(id=found.id, **task_value(found), attempts=rows, png=str(png) if png else None)
        return
    show_task(found, tried)
    if png:
        console.out.print(f"wrote {png}", markup=False, soft_wrap=True)


@arc.command(name="list", epilog="Example: seal arc list --split eval1")
def list_(
    split: Annotated[
        str | None, typer.Option(help="train1, eval1, train2, eval2, paper-train, paper-eval or toy. [default: names]")
    ] = None,
    as_json: Json = False,
) -> None:
    """The splits there are, or the tasks of one: id, examples, tests, and the largest grid."""
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
    """Raises InputError that names the file, and the attempt that is no grid."""
    from seal_agent.data.contexts import read_text

    form = 'give {"attempts": [grid or null, …]}, or the same list under the task\'s id'
    try:
        value = json.loads(read_text(path))
    except (json.JSONDecodeError, RecursionError) as err:
        raise InputError(f"{path} is not JSON ({err}); {form}") from err
    found = value.get(task_id, value.get("attempts")) if isinstance(value, dict) else None
    if isinstance(found, dict):
        found = found.get("attempts")
    if not isinstance(found, list):
        raise InputError(f"{path} holds no attempts at {task_id}; {form}")
    return tuple(_attempt(one, f"attempt {number} in {path}") for number, one in enumerate(found, 1))


def _attempt(value: Any, where: str) -> Grid | None:
    from seal_agent.arc.grids import Grid

    if value is None:
        return None
    try:
        return Grid.of(value)
    except InputError as err:
        raise InputError(f"{where}: {err}") from err


# ---------------------------------------------------------------- JSON


def _summary(task: ArcTask) -> dict[str, Any]:
    shapes = [grid.shape for one in (*task.train, *task.test) for grid in (one.input, one.output)]
    largest = max(shapes, key=lambda shape: shape[0] * shape[1])
    return {"id": task.id, "train": len(task.train), "test": len(task.test), "largest": largest}
