"""`seal learn` and `seal trajectories`: learn what an agent did well, and see what is kept of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seal_agent.cli import console
from seal_agent.cli.adapt_options import check_terminal
from seal_agent.cli.options import (
    Adapter,
    EngineOptions,
    Home,
    Json,
    ModelOptions,
    Seed,
    configured,
    open_ledger,
    print_json,
)
from seal_agent.errors import InputError

if TYPE_CHECKING:
    from seal_agent.agents.trajectories.store import Kept, TrajectoryStore

LEARN_EXAMPLE = "Example: seal learn --trajectories successes.jsonl --adapter shop"
TRAJECTORIES_EXAMPLE = "Example: seal trajectories --adapter shop --export successes.jsonl"


def learn(
    model_options: ModelOptions,
    engine_options: EngineOptions,
    trajectories: Annotated[
        Path | None,
        typer.Option(help="JSON lines, one trajectory each. \\[default: those in the store that are not learnt yet]"),
    ] = None,
    adapter: Adapter = "default",
    recipe: Annotated[
        str | None, typer.Option(help="How it is trained: a name of `seal recipes`, or a TOML file.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the trajectories.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    no_gate: Annotated[bool, typer.Option("--no-gate", help="Keep the change without checking what it lost.")] = False,
    approve: Annotated[bool, typer.Option("--approve", help="Ask before the change becomes active.")] = False,
    home: Home = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Learn the actions of trajectories that somebody verified as successes; the others are only kept."""
    from seal_agent.adaptation.gate.approval import ask_on_terminal
    from seal_agent.agents.trajectories.lesson import lessons_among
    from seal_agent.agents.trajectories.lines import read_trajectories
    from seal_agent.config import GateConfig, recipe_named

    if approve:
        check_terminal()
    given = read_trajectories(trajectories) if trajectories else None
    if given:
        lessons_among(given)  # refuse them before a model is loaded
    inner_loop = configured(
        recipe_named(recipe or "default").inner_loop, seed=seed, epochs=epochs, learning_rate=learning_rate
    )
    seal = model_options.load(home, seed, engine_options=engine_options)
    if given is None and not (given := seal.trajectories(adapter).to_learn()):
        raise InputError(f"adapter {adapter!r} has no verified successes left to learn; give some by --trajectories")
    with console.interruptible(seal.ledger, [adapter]), console.stage_bars(quiet=as_json) as bars:
        revision = seal.learn(
            given,
            adapter=adapter,
            inner_loop=inner_loop,
            gate=None if no_gate else GateConfig(),
            approve=bars.pausing(ask_on_terminal) if approve else None,
            progress=bars,
        )
    if as_json:
        print_json(**console.revision_json(revision))
    else:
        console.out.print(str(revision), markup=False, soft_wrap=True)


def trajectories(
    adapter: Adapter = "default",
    export: Annotated[
        Path | None, typer.Option(help="Write them as JSON lines to this new file, or - for standard output.")
    ] = None,
    forget: Annotated[list[str] | None, typer.Option(help="Delete this one for good, by its id.")] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """List what agents did with an adapter, export it, or delete some of it."""
    from seal_agent.agents.trajectories.store import TrajectoryStore
    from seal_agent.store.names import check_name

    if export and str(export) == "-" and as_json:
        raise InputError("--export - and --json both write to standard output; leave one of them out")
    ledger = open_ledger(home)
    if adapter != "default":
        ledger.check_known(adapter)
    store = TrajectoryStore(ledger, check_name(adapter))
    if forget:
        store.forget(forget)
    kept = store.all()
    if export:
        _export(store, export)
    if as_json:
        print_json(adapter=adapter, trajectories=[_row(each) for each in kept], forgotten=forget or [])
        return
    if export and str(export) == "-":
        return
    if not kept:
        console.err.print(f"seal: nothing is kept of what agents did with adapter {adapter!r}", markup=False)
    for each in kept:
        row = _row(each)
        learnt = f"learnt by {each.learnt}" if each.learnt else "not learnt"
        verified = f"{row['outcome']}, {row['verified_by'] or 'not verified'}"
        console.out.print(
            f"{each.id}\t{each.created[:19]}\t{verified}\t{row['steps']} steps\t{learnt}\t{row['goal']}",
            markup=False,
            soft_wrap=True,
        )


def _export(store: TrajectoryStore, file: Path) -> None:
    from seal_agent.agents.trajectories.lines import to_lines

    text = to_lines(each.trajectory for each in store.all())
    if str(file) == "-":
        typer.echo(text, nl=False)
        return
    if file.exists():
        raise InputError(f"{file} exists; choose another name")
    file.write_text(text, encoding="utf-8")


def _row(kept: Kept) -> dict[str, Any]:
    trajectory = kept.trajectory
    return {
        "id": kept.id,
        "created": kept.created,
        "goal": trajectory.goal,
        "steps": len(trajectory.steps),
        "outcome": trajectory.outcome,
        "verified_by": trajectory.verified_by,
        "source": trajectory.source,
        "trust": trajectory.trust,
        "learnt": kept.learnt,
    }
