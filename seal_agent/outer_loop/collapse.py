"""Detecting a model that rewards itself for nothing.

Agreement between a model's answers rises when it learns, and also when it forgets how to say anything else. Three
signs show the latter: its answers no longer differ at all, its self-edits no longer differ, or its self-given reward
rises while it answers labelled questions worse.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from statistics import fmean

from seal_agent.errors import CollapseError
from seal_agent.outer_loop.rounds import RoundResult

MIN_ENTROPY = 0.05  # nats; seven of eight samples alike in every question is 0.38; not tuned
MIN_DIVERSITY = 0.1  # self-edits of one context that share nine tenths of their words; not tuned
MARGIN = 0.02  # least rise of the reward and least fall of the reporting gain, between two rounds; not tuned


class CollapseWatch:
    """Checks every round as it ends. Raises CollapseError at the first sign of collapse."""

    def __init__(self) -> None:
        self._previous: RoundResult | None = None

    def check(self, result: RoundResult) -> None:
        """Compare a round with the limits and with the previous round."""
        entropy, spread = result.vote_entropy, diversity(result)
        if entropy is not None and entropy < MIN_ENTROPY:
            raise _error(result, f"the answers to its own questions no longer differ (entropy {entropy:.3f} nats)")
        if spread is not None and spread < MIN_DIVERSITY:
            raise _error(result, f"its self-edits of one context hardly differ any more (diversity {spread:.2f})")
        previous, self._previous = self._previous, result
        if previous is None or previous.mean is None or previous.reporting_mean is None:
            return
        if result.mean is None or result.reporting_mean is None:
            return
        rise, fall = result.mean - previous.mean, previous.reporting_mean - result.reporting_mean
        if rise > MARGIN and fall > MARGIN:
            raise _error(
                result, f"its reward of itself rose by {rise:.3f} while the gain on real questions fell by {fall:.3f}"
            )


def diversity(result: RoundResult) -> float | None:
    """Mean Jaccard distance between the words of two self-edits of one context, 0 (all alike) to 1.

    None where no context has two self-edits with words.
    """
    distances = [
        1 - len(left & right) / len(left | right)
        for context in result.contexts
        for left, right in combinations(_word_sets([scored.edit.completion for scored in context.scored]), 2)
        if left | right
    ]
    return fmean(distances) if distances else None


def _word_sets(texts: Sequence[str]) -> list[frozenset[str]]:
    return [frozenset(text.casefold().split()) for text in texts]


def _error(result: RoundResult, sign: str) -> CollapseError:
    trust = (
        f"the policy of round {result.round} is the last to trust" if result.round else "trust no policy of this run"
    )
    return CollapseError(
        f"stopped after round {result.round + 1}: {sign}; {trust}: "
        "train with labelled questions, more contexts, or fewer rounds"
    )
