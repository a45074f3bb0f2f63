"""Watching for a model that rewards itself for nothing.

Agreement rises when a model learns, and when it forgets how to say anything else. Three signs tell the second: its
answers no longer differ at all, its self-edits no longer differ, or its reward of itself rises while questions that
it does not reward itself by are answered worse.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from statistics import fmean

from seal_agent.errors import CollapseError
from seal_agent.outer_loop.rounds import RoundResult

MIN_ENTROPY = 0.05  # nats, our choice: seven of eight samples alike in every question is 0.38
MIN_DIVERSITY = 0.1  # our choice: self-edits of one context that share nine tenths of their words
MARGIN = 0.02  # our choice: of a reward that rises and of a check that falls, between two rounds


class CollapseWatch:
    """Looks at every round as it ends. Raises CollapseError at the first sign, with what it saw."""

    def __init__(self) -> None:
        self._before: RoundResult | None = None

    def look(self, result: RoundResult) -> None:
        """Compare a round with the limits and with the round before it."""
        entropy, spread = result.vote_entropy, diversity(result)
        if entropy is not None and entropy < MIN_ENTROPY:
            raise _alarm(result, f"the answers to its own questions no longer differ (entropy {entropy:.3f} nats)")
        if spread is not None and spread < MIN_DIVERSITY:
            raise _alarm(result, f"its self-edits of one context hardly differ any more (diversity {spread:.2f})")
        before, self._before = self._before, result
        if before is None or None in (before.mean, result.mean, before.reporting_mean, result.reporting_mean):
            return
        assert before.mean is not None
        assert result.mean is not None
        assert before.reporting_mean is not None
        assert result.reporting_mean is not None
        rise, fall = result.mean - before.mean, before.reporting_mean - result.reporting_mean
        if rise > MARGIN and fall > MARGIN:
            raise _alarm(
                result, f"its reward of itself rose by {rise:.3f} while the gain on real questions fell by {fall:.3f}"
            )


def diversity(result: RoundResult) -> float | None:
    """Mean share of words that two self-edits of one context do not share, 0 (all alike) to 1; None without pairs."""
    distances = [
        1 - len(left & right) / len(left | right)
        for context in result.contexts
        for left, right in combinations(_words([one.edit.completion for one in context.scored]), 2)
        if left | right
    ]
    return fmean(distances) if distances else None


def _words(texts: Sequence[str]) -> list[frozenset[str]]:
    return [frozenset(text.casefold().split()) for text in texts]


def _alarm(result: RoundResult, why: str) -> CollapseError:
    trust = (
        f"the policy of round {result.round} is the last to trust" if result.round else "trust no policy of this run"
    )
    return CollapseError(
        f"stopped after round {result.round + 1}: {why}; {trust}: "
        "train with labelled questions, more contexts, or fewer rounds"
    )
