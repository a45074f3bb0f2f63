"""Which self-edits are kept: best-of-n by mean reward, among those that beat both baselines."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from seal_agent.text.scripts import JOINERS, LETTERS_PER_WORD, MARKS, UNSPACED
from seal_agent.types import Outcome, Question, SelfEdit

LEAK_WORDS = 8  # a self-edit does not share a run of this many words with a question by chance
WHOLE_WORDS = 6  # nor all of a question that has fewer than LEAK_WORDS, but at least this many
_CHINESE_LETTERS, _OTHER_LETTERS = LETTERS_PER_WORD, 4  # per word, in Chinese and Japanese; in Thai, Khmer and the like
_WORD = re.compile(rf"{UNSPACED.pattern}|(?:(?!{UNSPACED.pattern})[\w{MARKS}{JOINERS}])+")


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

    A self-edit that repeats its test questions would be rewarded for knowing them. A run has LEAK_WORDS words, or all
    of a shorter question's; letters stand for words in scripts that do not separate words.
    """
    for question in questions:
        words = _WORD.findall(question.text.casefold())
        letters = _letters_per_word(words)
        size = min(LEAK_WORDS * letters, len(words))
        if size >= WHOLE_WORDS * letters:
            suspect = _runs_of(edit.completion, size) - _runs_of(passage, size)
            for run in _runs(words, size):
                if run in suspect:
                    return ("" if letters > 1 else " ").join(run)
    return ""


@functools.lru_cache(maxsize=64)
def _runs_of(text: str, size: int) -> frozenset[tuple[str, ...]]:
    return frozenset(_runs(_WORD.findall(text.casefold()), size))


def _runs(words: Sequence[str], size: int) -> list[tuple[str, ...]]:
    return [tuple(words[i : i + size]) for i in range(len(words) - size + 1)]


def _letters_per_word(words: Sequence[str]) -> int:
    """How many letters stand for a word of a question; 1 where spaces separate its words."""
    unspaced = [word for word in words if UNSPACED.match(word)]
    if len(unspaced) * 2 <= len(words):
        return 1
    return _CHINESE_LETTERS if unspaced[0] >= "\u3000" else _OTHER_LETTERS


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
