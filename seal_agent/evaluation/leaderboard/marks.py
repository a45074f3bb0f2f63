"""Marks beside a row's recipe: what its figures do not say."""

from __future__ import annotations

from dataclasses import dataclass

from seal_agent.evaluation.leaderboard.standings import MOST_MISSING, Standing
from seal_agent.evaluation.results import Results
from seal_agent.evaluation.suites import SUITES

SHOWN_FAILURES = 3  # further ones stand in the results file


@dataclass(frozen=True, slots=True)
class Mark:
    """What a reader of the row must know beside its figures, and a longer explanation."""

    text: str
    hint: str


def marks_of(row: Standing) -> tuple[Mark, ...]:
    """The marks of a row, the gravest first."""
    results, unit = row.results, SUITES[row.results.suite].unit
    marks = []
    if row.measured < row.asked:
        text, hint = f"{row.measured} of {row.asked} measured", _why(results, f"{unit} are in no mean")
        if not row.complete:
            text, hint = f"{text}, not ranked", f"More than {100 * MOST_MISSING:.0f} % are missing. {hint}"
        marks.append(Mark(text, hint))
    elif results.failures:
        marks.append(Mark(f"{len(results.failures)} failed", _why(results, "runs are in no mean")))
    if results.data.seen:
        hint = f"The search that chose this recipe has seen {results.data.seen} of these {unit}"
        marks.append(Mark(f"seen {results.data.seen}", hint))
    if results.run.imported_from:
        marks.append(Mark("imported", f"Converted from {results.run.imported_from}"))
    return tuple(marks)


def _why(results: Results, which: str) -> str:
    """The first failures."""
    more = len(results.failures) - SHOWN_FAILURES
    reasons = "; ".join(results.failures[:SHOWN_FAILURES]) or "no reason recorded"
    return f"The other {which}: {reasons}" + (f"; and {more} more" if more > 0 else "")
