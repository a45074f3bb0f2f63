"""The grader protocols."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from seal_agent.types import Verdict


class Grader(Protocol):
    """Decides whether an answer is right."""

    def grade(self, question: str, golds: Sequence[str], answer: str) -> Verdict:
        """Compare an answer with every gold answer. UNGRADED: the grader cannot tell; it never means WRONG."""
        ...


@runtime_checkable
class DirectnessGrader(Grader, Protocol):
    """A grader that also sees whether an answer singles out what was asked for."""

    def direct(self, question: str, golds: Sequence[str], answer: str) -> Verdict:
        """CORRECT if the answer is right and direct; UNGRADED where `grade` is."""
        ...


GradingItem = tuple[str, Sequence[str], str]
"""A question, its gold answers, and the answer to grade."""


@runtime_checkable
class BatchGrader(Grader, Protocol):
    """A grader that is faster on many answers at once."""

    def grade_all(self, items: Sequence[GradingItem]) -> list[Verdict]:
        """Verdicts in the order of the items."""
        ...


def grade_all(grader: Grader, items: Sequence[GradingItem]) -> list[Verdict]:
    """Verdicts in the order of the items, in one batch if the grader can do that."""
    return grader.grade_all(items) if isinstance(grader, BatchGrader) else [grader.grade(*item) for item in items]
