"""Who grades a run, under the name that its row gives it, and the verdicts that are kept while it lasts."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from seal_agent.grading.grader import Grader, GradingItem, grade_all
from seal_agent.types import Verdict

VERDICTS_FILE = "verdicts.sqlite"
"""Beside a run's journal, what a judge has said."""
_IDENTITY_DIGITS = 12
_USUAL_HOST = "api.openai.com"


def grader_name(name: str, identity: str, judge_model: str | None = None, judge_url: str | None = None) -> str:
    """What a row calls its grader, so that only rows of one judge are ranked together.

    Args:
        identity: Of the base model, which judges itself where the grader is "model".
    """
    if name == "model":
        return f"model: {identity[:_IDENTITY_DIGITS]}"
    if name == "judge":
        host = urlsplit(judge_url).netloc.rpartition("@")[2] if judge_url else _USUAL_HOST
        return f"judge: {judge_model} @ {host}"
    return name


class KeptVerdicts:
    """A slow grader that is asked about each answer once. Implements BatchGrader.

    An answer that it could not grade is not asked about again either: the next run does.
    """

    def __init__(self, grader: Grader) -> None:
        self._grader = grader
        self._kept: dict[tuple[str, tuple[str, ...], str], Verdict] = {}

    def grade(self, question: str, golds: Sequence[str], answer: str) -> Verdict:
        return self.grade_all([(question, golds, answer)])[0]

    def grade_all(self, items: Sequence[GradingItem]) -> list[Verdict]:
        """Verdicts in the order of the items; those that are not known are asked for together."""
        keys = [(question, tuple(golds), answer) for question, golds, answer in items]
        new = [key for key in dict.fromkeys(keys) if key not in self._kept]
        self._kept |= zip(new, grade_all(self._grader, new) if new else [], strict=True)
        return [self._kept[key] for key in keys]
