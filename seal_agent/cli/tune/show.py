"""Output of `seal tune`: the plan before a run, and its result."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from seal_agent.cli import console
from seal_agent.cli.options import print_json

if TYPE_CHECKING:
    from seal_agent.config import TuneConfig
    from seal_agent.outer_loop.report.interval import Estimate
    from seal_agent.outer_loop.tuning.forecast import Forecast
    from seal_agent.outer_loop.tuning.run import TuneOutcome

SHORT = 10.0  # seconds; what takes less is not worth a line


def show_forecast(expected: Forecast, config: TuneConfig, as_json: bool) -> None:
    """Show the counts of a planned run and its expected time."""
    if as_json:
        print_json(**asdict(expected))
        return
    _print(f"  recipes        {expected.roots} to begin with, {expected.candidates} at the end at most")
    _print(f"  search         {expected.searched} passages learnt, in stages of {', '.join(map(str, config.stages))}")
    _print(f"  confirming     {expected.confirming} passages learnt, {expected.confirmed_on} by each recipe")
    _print(f"  expected time  {console.duration(expected.seconds)} on one worker like this machine")
    _print(
        f"That is from two passages just now: {expected.seconds_per_passage:.1f} s each by the default recipe. Larger "
        "batches are faster; other recipes take more or less."
    )
    if expected.preparing >= SHORT:
        _print(preparing_line(expected.preparing))
    if expected.confirmed_on < config.confirming:
        _print(f"The budget has no room for {config.confirming} confirming passages: differences show less surely.")
    if expected.shortage:
        _print(f"Warning: {expected.shortage}")


def preparing_line(seconds: float) -> str:
    """What a model needed once, and that no budget counts it."""
    return f"The model was prepared, its reader included, in {console.duration(seconds)}; no budget counts it."


def show_outcome(outcome: TuneOutcome, folder: Path, model: str, as_json: bool) -> None:
    """Show the verdict, and where the recipe and the report are."""
    from seal_agent.outer_loop.tuning.evidence import shown

    confirmation = outcome.confirmation
    if as_json:
        print_json(
            verdict=confirmation.verdict(),
            winner=confirmation.winner.label,
            kept=confirmation.kept.label,
            candidates=len(outcome.archive),
            comparisons=[
                {"over": comparison.over.label, **_figures(comparison.difference)}
                for comparison in confirmation.comparisons
            ],
            recipe=str(outcome.recipe),
            recipes=str(outcome.recipes),
            report={"markdown": str(outcome.markdown), "html": str(outcome.html)},
            digest=outcome.digest,
        )
        return
    _print(confirmation.verdict())
    for comparison in confirmation.comparisons:
        _print(f"  {confirmation.winner.label} less {comparison.over.label}: {shown(comparison.difference)}")
    _print(f"{len(outcome.archive)} recipes were tried")
    _print(f"report   {outcome.markdown}\n         {outcome.html}")
    _print(f"recipe   {outcome.recipe}\n         {outcome.recipes}: the winner, and all that nothing beats")
    _print(f"use it   seal adapt FILE.txt --model {model} --recipe {folder}")


def _figures(difference: Estimate) -> dict[str, float | None]:
    """A difference with its interval; without one where it stands on too few values."""
    from seal_agent.outer_loop.tuning.evidence import is_sure

    bounds = (difference.low, difference.high) if is_sure(difference) else (None, None)
    return {"mean": difference.mean, "low": bounds[0], "high": bounds[1], "count": difference.count}


def _print(text: str) -> None:
    console.out.print(text, markup=False, soft_wrap=True)
