"""Whether a row's plain figures are possible, agree with each other and with its answers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean

from seal_agent.errors import InputError
from seal_agent.evaluation.results import Results
from seal_agent.evaluation.samples import Sample, unanswered
from seal_agent.evaluation.suites import SUITES, Kind

HOUR = 3600.0
_ROUNDED = 2e-6  # figures have six digits
_COSTS = frozenset(
    (
        "seconds_to_write", "seconds_to_train", "seconds_per_passage", "seconds_per_answer", "prompt_tokens_per_answer",
        "adapters_per_hour", "notes", "note_tokens", "note_distinct", "note_similarity", "passages_searched",
    )
)  # fmt: skip
KNOWN: dict[Kind, frozenset[str]] = {
    "passages": _COSTS,
    "together": _COSTS,
    "continual": frozenset(("edits",)),
    "arc": frozenset(("seconds_per_task",)),
    "speed": frozenset(("passages_at_once",)),
    "harm": frozenset(),
}
"""By kind of suite, the figures that a row may have."""


def check_figures(results: Results, samples: Sequence[Sample]) -> None:
    """Raises InputError for a figure that there is not, that cannot be, or that something else in the row contradicts.

    How long things took follows from nothing that is stored.
    """
    kind, figures = SUITES[results.suite].kind, results.figures
    for name, value in figures.items():
        if name not in KNOWN[kind]:
            raise InputError(
                f"the row has a figure {name}, which {results.suite} does not measure; the file was changed"
            )
        if not math.isfinite(value) or value < 0:
            raise InputError(f"the figure {name} is {value}, which cannot be; the file was changed")
    if {"seconds_to_write", "seconds_to_train", "seconds_per_passage"} <= figures.keys():
        _check(results, "seconds_per_passage", figures["seconds_to_write"] + figures["seconds_to_train"])
    if "adapters_per_hour" in figures:
        passages = len({sample.unit for sample in samples}) if kind == "together" else 1
        seconds = passages * figures.get("seconds_per_passage", 0.0)
        beside = _ROUNDED * HOUR * passages / seconds**2 if seconds else 0.0
        _check(results, "adapters_per_hour", HOUR / seconds if seconds else None, beside)
    if kind in ("passages", "together"):
        _check(results, "prompt_tokens_per_answer", _prompt_tokens(samples))
    if kind == "continual":
        _check(results, "edits", _edits(samples))


def _check(results: Results, name: str, expected: float | None, beside: float = 0.0) -> None:
    """Raises InputError where a figure is not the expected one, or there although nothing gives it."""
    found = results.figures.get(name)
    if found is None and expected is None:
        return
    if found is None or expected is None or abs(found - expected) > _ROUNDED + beside:
        raise InputError(
            f"the figure {name} is {found}, but the rest of the row gives {expected}; the file was changed"
        )


def _prompt_tokens(samples: Sequence[Sample]) -> float | None:
    """The mean over answers; None where the answers do not say it, as in rows of older scripts."""
    tokens = [sample.prompt_tokens for sample in samples if not unanswered(sample)]
    known = [count for count in tokens if count is not None]
    return fmean(known) if known and len(known) == len(tokens) else None


def _edits(samples: Sequence[Sample]) -> float:
    """Passages of a sequence."""
    passages: dict[str, set[str]] = {}
    for sample in samples:
        passages.setdefault(sample.unit, set()).add(sample.passage)
    return float(max(map(len, passages.values()), default=0))
