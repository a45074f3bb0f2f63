"""What `seal bench` and `seal submit` print."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table

from seal_agent.cli import console
from seal_agent.cli.options import print_json

if TYPE_CHECKING:
    from seal_agent.evaluation.results import Measure, Results
    from seal_agent.integrations.lm_eval.bench.pace import Pace
    from seal_agent.integrations.lm_eval.bench.plan import Plan


def show_suites(as_json: bool) -> None:
    """The suites, one row each."""
    from seal_agent.evaluation.suites import SUITES

    if as_json:
        print_json(**{name: suite.summary for name, suite in SUITES.items()})
        return
    table = Table()
    for heading in ("suite", "what it asks", "ranked by"):
        table.add_column(heading, overflow="fold")
    for name, suite in SUITES.items():
        table.add_row(name, suite.summary, suite.primary)
    console.out.print(table)


def show_dry_run(plans: Sequence[Plan], paces: Sequence[Pace], as_json: bool) -> None:
    """What each run would do, and how long it would take."""
    from seal_agent.evaluation.suites import counted

    if as_json:
        runs = [_dry_run_json(plan, pace) for plan, pace in zip(plans, paces, strict=True)]
        print_json(**(runs[0] if len(runs) == 1 else {"runs": runs}))
        return
    for plan, pace in zip(plans, paces, strict=True):
        questions = f", {counted(_questions(plan), 'questions')}" if plan.passages else ""
        console.out.print(
            f"{plan.suite.name} with {plan.label}: {counted(plan.units, plan.suite.unit)}{questions}, {_learnt(plan)}, "
            f"{counted(len(plan.seeds), 'seeds')}\n"
            f"one took {console.duration(pace.seconds_each)}; {pace.left} are left: about "
            f"{console.duration(pace.seconds)}{f', without {pace.not_counted}' if pace.not_counted else ''}",
            markup=False,
        )


def _questions(plan: Plan) -> int:
    return sum(len(context.questions) for context in plan.passages)


def _learnt(plan: Plan) -> str:
    """What becomes of the units that are counted beside it."""
    if not plan.learns:
        return "nothing learnt"
    of_kind = {
        "together": "all learnt at once",
        "continual": f"{plan.size} passages learnt in each, one after the other",
        "speed": f"{plan.size} passages learnt in each",
    }
    return of_kind.get(plan.suite.kind, "each learnt on its own")


def _dry_run_json(plan: Plan, pace: Pace) -> dict[str, Any]:
    return {
        "suite": plan.suite.name,
        "recipe": plan.label,
        "unit": plan.suite.unit,
        "units": plan.units,
        "learns": plan.learns,
        "passages": len(plan.passages),
        "questions": _questions(plan),
        "seeds": list(plan.seeds),
        "seconds_each": pace.seconds_each,
        "left": pace.left,
        "expected_seconds": pace.seconds,
        "not_counted": pace.not_counted,
    }


def show_results(results: Results, quiet: bool = False) -> dict[str, Any]:
    """Print the means; returns them, with the figures, as JSON values."""
    from seal_agent.evaluation.results import to_json

    if not quiet:
        table = Table(title=f"{results.suite} · {results.model.name} · {results.recipe.label}")
        for heading in ("measure", "mean", "95 % interval", results.data.name):
            table.add_column(heading)
        for name, measure in results.measures.items():
            table.add_row(name, *_cells(measure))
        console.out.print(table)
        for name, figure in results.figures.items():
            console.out.print(f"  {name.replace('_', ' ')}: {figure:.4g}", markup=False)
        for failure in results.failures:
            console.err.print(f"not measured: {failure}", style="yellow", markup=False)
    row = to_json(results)
    return {name: row[name] for name in ("suite", "measures", "figures", "failures")}


def _cells(measure: Measure) -> tuple[str, str, str]:
    from seal_agent.evaluation.suites import counted

    between = f"{measure.low:.3f} – {measure.high:.3f}" if measure.low is not None else "—"
    return f"{measure.value:.3f}", between, counted(measure.count, "units")
