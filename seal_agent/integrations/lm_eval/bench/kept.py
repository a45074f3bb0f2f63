"""Answers that a journal keeps with their grades; grades that are missing are asked for again."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pydantic import TypeAdapter

from seal_agent.evaluation.journal import Journal
from seal_agent.evaluation.samples import Sample
from seal_agent.evaluation.scoring import with_missing_grades
from seal_agent.grading.grader import Grader

_SAMPLES: TypeAdapter[tuple[Sample, ...]] = TypeAdapter(tuple[Sample, ...])


def samples_of(value: Any) -> tuple[Sample, ...]:
    """The samples of a journal's value; older versions wrote nothing else."""
    return _SAMPLES.validate_python(value if isinstance(value, list) else value["samples"])


def graded_samples(key: str, journal: Journal, grader: Grader) -> tuple[Sample, ...]:
    """The samples under a key; those that could not be graded before are graded again, and kept."""
    value = journal[key]
    samples = samples_of(value)
    again = with_missing_grades(samples, grader)
    if again != samples:
        rows = [asdict(sample) for sample in again]
        journal.add(key, rows if isinstance(value, list) else {**value, "samples": rows})
    return again
