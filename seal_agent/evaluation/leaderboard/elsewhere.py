"""What another suite says of a row's model and recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from seal_agent.config import recorded_settings
from seal_agent.evaluation.ranking import Entry
from seal_agent.evaluation.results import Results
from seal_agent.evaluation.suites import SUITES


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A measure of another suite; `graded` where it depends on the grader."""

    suite: str
    measure: str
    graded: bool


KEPT = Elsewhere("squad_continual", "kept", graded=True)
PERPLEXITY = Elsewhere("harm", "perplexity_ratio", graded=False)


@dataclass(frozen=True, slots=True)
class Found:
    """A value, and what it was measured on."""

    value: float
    source: str


def usual_size(what: Elsewhere) -> int:
    """Passages in one adapter that the suite has by default; other sizes are another question."""
    return SUITES[what.suite].sizes[0]


def measured_elsewhere(own: Results, others: Sequence[Entry], what: Elsewhere) -> Found | None:
    """The measure of the same weights with the same recipe; of several rows, that of most units."""
    rows = [entry.results for entry in others if own.suite != what.suite and _fits(entry.results, own, what)]
    if not rows:
        return None
    best = max(rows, key=lambda row: (row.measures[what.measure].count, row.run.date, row.id))
    measure, edits = best.measures[what.measure], best.figures.get("edits")
    parts = [
        f"suite {best.suite}",
        *([f"{edits:.0f} edits"] if edits else []),
        f"{measure.count} {SUITES[best.suite].unit} of {best.data.name}",
        *([f"grader {best.grader}"] if what.graded else []),
        *([f"of {len(rows)} rows that of most units"] if len(rows) > 1 else []),
    ]
    return Found(measure.value, ", ".join(parts))


def _fits(other: Results, own: Results, what: Elsewhere) -> bool:
    """Whether another row is about the same weights and recipe, in the suite's usual size and with the own grader."""
    return (
        other.suite == what.suite
        and what.measure in other.measures
        and other.figures.get("edits", usual_size(what)) == usual_size(what)
        and (other.model.identity, other.recipe.label) == (own.model.identity, own.recipe.label)
        and _learning(other) == _learning(own)
        and (other.grader == own.grader or not what.graded)
    )


def _learning(results: Results) -> list[Mapping[str, object]]:
    """How notes are written and learnt; a recipe's name may mean something else in another version."""
    return [recorded_settings(results.recipe.settings.get(name) or {}) for name in ("self_edit", "inner_loop")]
