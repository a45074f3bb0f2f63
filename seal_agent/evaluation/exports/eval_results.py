"""The hub's `.eval_results` YAML: one entry per mean, for a model's repository."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from seal_agent.errors import InputError
from seal_agent.evaluation.files import write_atomically
from seal_agent.evaluation.results import Measure, Results, read_results
from seal_agent.evaluation.suites import SUITES, Suite

PERCENT = 100.0


def write_eval_results(path: Path) -> list[Path]:
    """Write `NAME.eval_results.yaml` beside a results file. Raises InputError where the hub has no such data set."""
    written = path.with_name(f"{path.stem}.eval_results.yaml")
    text = yaml.safe_dump(to_eval_results(read_results(path)), allow_unicode=True, sort_keys=False, width=120)
    write_atomically(written, text.encode())
    return [written]


def to_eval_results(results: Results) -> list[dict[str, Any]]:
    """The entries, in per cent. Raises InputError where the hub has no such data set."""
    dataset = hub_name(SUITES[results.suite])
    shares = {name: m for name, m in results.measures.items() if name in ("contains", "direct", "is_answer", "final")}
    return [_entry(results, dataset, name, measure) for name, measure in shares.items()]


def hub_name(suite: Suite) -> str:
    """The data set that the format names. Raises InputError where the hub has none of the suite."""
    if not suite.hub:
        raise InputError(
            f"the hub's format names a data set of the hub, and {suite.name} has none; use --export eee instead"
        )
    return suite.hub


def _entry(results: Results, dataset: str, name: str, measure: Measure) -> dict[str, Any]:
    interval = ""
    if measure.low is not None and measure.high is not None:
        interval = f", 95 % interval {PERCENT * measure.low:.1f} to {PERCENT * measure.high:.1f}"
    notes = (
        f"{name} of suite {results.suite}, recipe {results.recipe.label}, {results.data.units} units{interval}, "
        f"grader {results.grader}, data {results.data.hash[:12]}, row {results.id}"
    )
    return {
        "dataset": {"id": dataset, "task_id": results.suite},
        "value": round(PERCENT * measure.value, 2),
        "date": results.run.date[:10],
        "notes": notes,
    }
