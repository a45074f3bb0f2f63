"""What a grader is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from seal_agent.types import Verdict


class Grader(Protocol):
    """Compares an answer with every answer that counts as right."""

    def grade(self, question: str, golds: Sequence[str], answer: str) -> Verdict:
        """UNGRADED where the grader cannot tell; it is never a synonym of WRONG."""
        ...


Graded = tuple[str, Sequence[str], str]
"""A question, its golds, and an answer to it."""


@runtime_checkable
class BatchGrader(Grader, Protocol):
    """A grader that is faster with many answers at once."""

    def grade_all(self, items: Sequence[Graded]) -> list[Verdict]:
        """Verdicts in the order of the items."""
        ...


def grade_all(grader: Grader, items: Sequence[Graded]) -> list[Verdict]:
    """Verdicts in the order of the items, together where the grader can."""
    return grader.grade_all(items) if isinstance(grader, BatchGrader) else [grader.grade(*item) for item in items]
