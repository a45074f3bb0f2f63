"""Which self-edits are kept: best-of-n by mean reward, among those that beat both baselines."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from seal_agent.types import Outcome, Question, SelfEdit

LEAK_WORDS = 8  # a self-edit does not share a run of this many words with a question by chance


@dataclass(frozen=True, slots=True)
class ScoredEdit:
    """A self-edit with its outcomes, one per seed. Failed outcomes are left out of the means, and counted."""

    edit: SelfEdit
    outcomes: tuple[Outcome, ...]
    rejected: str = ""
    """Why the self-edit may not be kept whatever its reward; "" where it may."""
    reporting: tuple[Outcome, ...] = ()
    """Outcomes of the same adapters on the reporting questions, which never select."""

    @property
    def mean(self) -> float | None:
        """Mean reward over the seeds that did not fail; None where all did."""
        return mean_gain(self.outcomes)

    @property
    def reporting_mean(self) -> float | None:
        """Mean gain on the reporting questions over the seeds that did not fail; None where all did."""
        return mean_gain(self.reporting)


def mean_gain(outcomes: Iterable[Outcome]) -> float | None:
    """Mean gain over the outcomes that did not fail; None where all did."""
    gains = [outcome.reward.gain for outcome in outcomes if outcome.reward]
    return fmean(gains) if gains else None


def select(scored: Sequence[ScoredEdit], floor: float, keep: int) -> list[ScoredEdit]:
    """The `keep` best self-edits of one context by mean reward, best first; ties keep their order.

    Only self-edits whose mean is above 0, which is the base model, and above `floor`, the reward of the passage alone.
    """
    eligible = [edit for edit in scored if not edit.rejected and edit.mean is not None and edit.mean > max(0.0, floor)]
    return sorted(eligible, key=lambda edit: -(edit.mean or 0.0))[:keep]


def leaked_words(edit: SelfEdit, passage: str, questions: Iterable[Question]) -> str:
    """The first run of words that a self-edit shares with a question but not with the passage; "" for none.

    A self-edit that repeats its test questions would be rewarded for knowing them.
    """
    suspect = set(_runs(edit.completion)) - set(_runs(passage))
    return next((" ".join(run) for question in questions for run in _runs(question.text) if run in suspect), "")


def _runs(text: str) -> list[tuple[str, ...]]:
    words = re.findall(r"\w+", text.casefold())
    return [tuple(words[i : i + LEAK_WORDS]) for i in range(len(words) - LEAK_WORDS + 1)]


def advantage(kept: Mapping[str, Sequence[ScoredEdit]], scored: Mapping[str, Sequence[ScoredEdit]]) -> float | None:
    """Mean reward of the kept self-edits minus that of all self-edits of their context, averaged over contexts.

    Contexts without a kept self-edit are left out; None where all are.

    Args:
        kept: The kept self-edits by context.
        scored: All self-edits by context.
    """
    differences = []
    for context, winners in kept.items():
        means = [edit.mean for edit in scored[context] if edit.mean is not None]
        if winners and means:
            differences.append(fmean(winner.mean or 0.0 for winner in winners) - fmean(means))
    return fmean(differences) if differences else None
