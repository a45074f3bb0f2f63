"""Whether what a row calls failed is what its answers lack, and is little enough for its means to be believed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from seal_agent.errors import InputError
from seal_agent.evaluation.continual import is_finished
from seal_agent.evaluation.harm import BASE_UNIT
from seal_agent.evaluation.passages import unit_id
from seal_agent.evaluation.results import Results
from seal_agent.evaluation.samples import Sample, unanswered
from seal_agent.evaluation.statistics import MOST_FAILED
from seal_agent.evaluation.suites import SUITES
from seal_agent.types import Context

Try = tuple[str, int]
"""A unit and a seed."""


@dataclass(frozen=True, slots=True)
class _Lost:
    """A unit that has no answers: how the failure that says so begins, and ends; "" where the row cannot tell."""

    name: str
    begins: str
    ends: str = ""

    def is_told_by(self, failure: str) -> bool:
        return failure.startswith(self.begins) and failure.endswith(self.ends)


def check_failures(results: Results, samples: Sequence[Sample], learnt: Sequence[Context] | None) -> None:
    """Raises InputError for an answer that is missing although nothing failed, for a failure although nothing is
    missing, and for too many of them.

    Args:
        learnt: The passages that the row is about; None where nobody can tell. Of `harm`, those that it learns.
    """
    kind = SUITES[results.suite].kind
    titles = {unit.id: unit.title for unit in results.units} | {unit_id(c): c.title for c in learnt or ()}
    tried: Iterable[Try] = dict.fromkeys((s.unit, s.seed) for s in samples if s.unit != BASE_UNIT)
    if kind == "continual":
        lost = _unfinished(results, samples)
    elif kind == "harm":
        tried = [(unit_id(context), seed) for seed in results.seeds for context in learnt or ()]
        measured = {(sample.unit, sample.seed) for sample in samples}
        lost = [_Lost(titles[unit], f"{titles[unit]}: ") for unit, seed in tried if (unit, seed) not in measured]
    else:
        reasons = _reasons(samples)
        lost = [
            _Lost(unit, unit if kind == "arc" else titles.get(unit, ""), f": {reason}")
            for (unit, _), reason in reasons.items()
            if reason
        ]
    _check_told(lost, results.failures, once=kind == "arc")
    check_few(len(lost), len(list(tried)), SUITES[results.suite].unit)


def _reasons(samples: Sequence[Sample]) -> Mapping[Try, str]:
    """By unit and seed, why there are no answers; "" where there are."""
    given: dict[Try, set[str]] = {}
    for sample in samples:
        given.setdefault((sample.unit, sample.seed), set()).add(unanswered(sample))
    for (unit, _), reasons in given.items():
        if len(reasons) > 1:
            raise InputError(f"some answers about {unit} are missing although it was learnt; the file was changed")
    return {key: reason for key, (reason,) in given.items()}


def _unfinished(results: Results, samples: Sequence[Sample]) -> list[_Lost]:
    """The sequences that stopped before their last edit."""
    of_try: dict[Try, list[Sample]] = {}
    for sample in samples:
        of_try.setdefault((sample.unit, sample.seed), []).append(sample)
    number = {unit: place for place, unit in enumerate(dict.fromkeys(unit for unit, _ in of_try), 1)}
    return [
        _Lost(f"sequence {number[unit]}", f"sequence {number[unit]}, seed {seed}: ")
        for (unit, seed), group in of_try.items()
        if not is_finished(group)
    ]


def _check_told(lost: Sequence[_Lost], failures: Sequence[str], once: bool) -> None:
    """Every failure is of one unit and seed that is missing, and the other way round; with `once`, of one unit."""
    left = list(failures)
    for one in dict.fromkeys(lost) if once else lost:
        told = next((failure for failure in left if one.is_told_by(failure)), None)
        if told is None:
            raise InputError(f"the answers about {one.name} are missing, and no failure says why; the file was changed")
        left.remove(told)
    if left:
        raise InputError(f"the failure {left[0]!r} is of nothing whose answers are missing; the file was changed")


def check_few(lost: int, tried: int, unit: str) -> None:
    """Raises InputError where too much of what was tried was lost."""
    if lost > MOST_FAILED * tried:
        raise InputError(
            f"{lost} of {tried} {unit}, counted with every seed, could not be measured, and a row may lack "
            f"{MOST_FAILED:.0%} of them: what fails is rarely the easiest; make the row again, or with more {unit}"
        )
