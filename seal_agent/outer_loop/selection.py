"""Which self-edits are kept: best-of-n by mean reward, among those that beat both baselines."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from seal_agent.types import Outcome, Question, SelfEdit

LONGEST_SHARED = 8  # words; of questions, longer runs than that are not hit upon by chance


@dataclass(frozen=True, slots=True)
class Scored:
    """A self-edit and its rewards, one for each seed; failed ones are left out of the mean and counted."""

    edit: SelfEdit
    outcomes: tuple[Outcome, ...]
    rejected: str = ""
    """Why it may not be kept whatever its reward."""
    reporting: tuple[Outcome, ...] = ()
    """The same adapters on questions that never select."""

    @property
    def mean(self) -> float | None:
        """Mean reward over the seeds that did not fail; None where all did."""
        return mean_gain(self.outcomes)

    @property
    def reporting_mean(self) -> float | None:
        return mean_gain(self.reporting)


def mean_gain(outcomes: Iterable[Outcome]) -> float | None:
    """Mean over those that did not fail; None where all did."""
    gains = [outcome.reward.gain for outcome in outcomes if outcome.reward]
    return fmean(gains) if gains else None


def select(scored: Sequence[Scored], floor: float, keep: int) -> list[Scored]:
    """The `keep` best by mean reward of one context's self-edits, best first, ties by their order.

    Only those whose mean is above 0, which is the baseline, and above `floor`, the reward of the passage alone.
    """
    able = [one for one in scored if not one.rejected and one.mean is not None and one.mean > max(0.0, floor)]
    return sorted(able, key=lambda one: -(one.mean or 0.0))[:keep]


def leaks(edit: SelfEdit, passage: str, questions: Iterable[Question]) -> str:
    """The first run of words that a self-edit shares with a question and not with the passage; "" for none.

    A self-edit that repeats the questions it will be judged by would be rewarded for knowing them.
    """
    suspect = set(_runs(edit.completion)) - set(_runs(passage))
    return next((" ".join(run) for question in questions for run in _runs(question.text) if run in suspect), "")


def _runs(text: str) -> list[tuple[str, ...]]:
    words = re.findall(r"\w+", text.casefold())
    return [tuple(words[i : i + LONGEST_SHARED]) for i in range(len(words) - LONGEST_SHARED + 1)]


def advantage(chosen: Mapping[str, Sequence[Scored]], every: Mapping[str, Sequence[Scored]]) -> float | None:
    """How far the kept self-edits lie above the mean of their context's, averaged over contexts with any kept."""
    differences = []
    for context, kept in chosen.items():
        means = [one.mean for one in every[context] if one.mean is not None]
        if kept and means:
            differences.append(fmean(one.mean or 0.0 for one in kept) - fmean(means))
    return fmean(differences) if differences else None
