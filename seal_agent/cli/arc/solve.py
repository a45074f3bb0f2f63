"""`seal arc solve`: train on a task's examples, and predict its test outputs."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from seal_agent.cli import console
from seal_agent.cli.arc.show import show_task
from seal_agent.cli.options import (
    EngineOptions,
    Json,
    ModelOptions,
    PolicyName,
    RecipeName,
    Seed,
    configured,
    print_json,
)
from seal_agent.errors import InputError

if TYPE_CHECKING:
    from seal_agent.arc.self_edits import Mode
    from seal_agent.arc.solve import ArcResult, Trial
    from seal_agent.config import ArcConfig, InnerLoopConfig
    from seal_agent.model import SelfAdaptingModel

EXAMPLE = "Example: seal arc solve toy-crop-000 --out attempts.json"
MODES = ("ttt", "self_edit", "random", "base")


def solve(
    task: Annotated[str, typer.Argument(metavar="TASK", help="An id, a toy's (toy-flip-003), or ARC's JSON file.")],
    model_options: ModelOptions,
    engine_options: EngineOptions,
    mode: Annotated[
        str,
        typer.Option(
            help="ttt (fixed settings), self_edit (the model chooses), random (chance does), or base (no training)."
        ),
    ] = "ttt",
    max_sequences: Annotated[int | None, typer.Option(help="Tasks made of the examples. \\[default: 96]")] = None,
    views: Annotated[int | None, typer.Option(help="Ways to look at the test. \\[default: 8]")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the attempts to this file, for `seal arc show`.")] = None,
    png: Annotated[Path | None, typer.Option(help="Draw task and attempts to this file.")] = None,
    policy: PolicyName = None,
    recipe: RecipeName = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Train an adapter on a task's own examples, answer its test in two attempts, and draw them."""
    from seal_agent.arc.data import find_task
    from seal_agent.arc.self_edits import trials_for
    from seal_agent.config import ArcConfig, recipe_named

    inner_loop = recipe_named(recipe or "default").arc_inner_loop
    if mode not in MODES:
        raise InputError(f"there is no mode {mode!r}; use {', '.join(MODES)}")
    if policy and mode != "self_edit":
        raise InputError("--policy writes self-edits; add --mode self_edit, or leave it out")
    config = configured(ArcConfig(), max_sequences=max_sequences, views=views)
    arc_task = find_task(task)
    seal = model_options.load(seed=seed, policy=policy, engine_options=engine_options)
    writer = seal.policy.adapter if seal.policy else None
    (trial,) = trials_for(seal.engine, seal.base, [arc_task], cast("Mode", mode), config, writer=writer, seed=seed)
    result = _solve(seal, trial, config, inner_loop, as_json)
    if result.failure:
        raise InputError(result.failure)
    _report(result, trial, config, out, png, as_json)


def _solve(
    seal: SelfAdaptingModel, trial: Trial, config: ArcConfig, inner_loop: InnerLoopConfig, quiet: bool
) -> ArcResult:
    from seal_agent.arc.solve import solve

    inner_loop = replace(inner_loop, seed=trial.seed)
    with console.stage_bars(quiet=quiet) as bars:
        (result,) = solve(
            seal.engine,
            seal.base,
            [trial],
            config,
            inner_loop,
            lambda stage: lambda done, total: bars(stage, done, total),
        )
    return result


def _report(
    result: ArcResult, trial: Trial, config: ArcConfig, out: Path | None, png: Path | None, as_json: bool
) -> None:
    task, attempts = result.task, result.attempts(config.attempts)
    if out:
        out.write_text(json.dumps({task.id: {"attempts": [grid.rows for grid in attempts[0]]}}) + "\n", "utf-8")
    if png:
        from seal_agent.arc.picture import write_png

        write_png(png, task, attempts[0])
    solved, accuracy = result.solved(config.attempts), result.cell_accuracy(config.attempts)
    if as_json:
        rows = [[grid.rows for grid in grids] for grids in attempts]
        choice = asdict(trial.choice) if trial.choice else None
        print_json(task=task.id, solved=solved, cell_accuracy=accuracy, attempts=rows, choice=choice)
        return
    show_task(task, attempts[0])
    verdict = "solved" if solved else f"not solved; {accuracy:.0%} of the cells are right in the better attempt"
    console.out.print(f"\n{verdict}" + (f"\nself-edit: {trial.choice.to_json()}" if trial.choice else ""), markup=False)
