"""Detecting a model that rewards itself for nothing.

Agreement between a model's answers rises when it learns, and also when it forgets how to say anything else. In every
long run of Shafayat et al. (2025, arXiv 2505.21444) the reward and the divergence from the base model jump together,
and one constant answer wins everywhere. Signs that stop a run:

- its answers to a question no longer differ at all;
- its answers to different questions no longer differ: one of them wins nearly everywhere;
- its self-edits no longer differ;
- its reward rises while it answers labelled questions worse;
- its reward and its divergence from the base model jump in the same round.

A jump of the reward alone, or of the divergence alone, is an alarm that stops nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean

from seal_agent.errors import CollapseError
from seal_agent.outer_loop.rounds import RoundResult

MIN_ENTROPY = 0.05  # nats; seven of eight samples alike in every question is 0.38; not tuned
MIN_ACROSS = 0.3  # one answer is the commonest of at most seven tenths of the questions; not tuned
MIN_DIVERSITY = 0.1  # self-edits of one context that share nine tenths of their words; not tuned
MARGIN = 0.02  # least rise of the reward and least fall of the reporting gain, between two rounds; not tuned
REWARD_JUMP = 0.2  # rise of the mean reward between two rounds; not tuned
KL_JUMP, KL_RATIO = 0.1, 3.0  # rise of the divergence in nats per token, and over the round before; not tuned


@dataclass(frozen=True, slots=True)
class Alarm:
    """What a round showed, and whether a run stops for it."""

    round: int
    sign: str
    stops: bool


class CollapseWatch:
    """Checks every round as it ends. Raises CollapseError at the first sign of collapse."""

    def __init__(self) -> None:
        self._previous: RoundResult | None = None

    def check(self, result: RoundResult) -> list[Alarm]:
        """Compare a round with the limits and with the previous round. Returns the alarms that stop nothing."""
        found = list(_alarms(self._previous, result))
        self._previous = result
        for alarm in found:
            if alarm.stops:
                raise _error(result, alarm.sign)
        return found


def alarms(results: Sequence[RoundResult]) -> list[Alarm]:
    """The alarms of all rounds of a run."""
    pairs = zip([None, *results], results, strict=False)
    return [alarm for previous, result in pairs for alarm in _alarms(previous, result)]


def sign_of_collapse(results: Sequence[RoundResult]) -> str:
    """The first sign that stops a run with these rounds; "" for none."""
    return next((alarm.sign for alarm in alarms(results) if alarm.stops), "")


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


def _alarms(previous: RoundResult | None, result: RoundResult) -> Iterator[Alarm]:
    entropy, across, spread = result.vote_entropy, result.answer_diversity, diversity(result)
    if entropy is not None and entropy < MIN_ENTROPY:
        yield _stop(result, f"the answers to its own questions no longer differ (entropy {entropy:.3f} nats)")
    if across is not None and across < MIN_ACROSS:
        yield _stop(result, f"one answer wins {1 - across:.0%} of its own questions")
    if spread is not None and spread < MIN_DIVERSITY:
        yield _stop(result, f"its self-edits of one context hardly differ any more (diversity {spread:.2f})")
    if previous is None:
        return
    rise = _difference(previous.mean, result.mean)
    fall = _difference(result.reporting_mean, previous.reporting_mean)
    if rise is not None and fall is not None and rise > MARGIN and fall > MARGIN:
        sign = f"its reward of itself rose by {rise:.3f} while the gain on real questions fell by {fall:.3f}"
        yield _stop(result, sign)
    yield from _jumps(previous, result, rise)


def _jumps(previous: RoundResult, result: RoundResult, rise: float | None) -> Iterator[Alarm]:
    """A jump of the reward, a jump of the divergence, or both, which stops the run."""
    before, now = previous.policy_kl or 0.0, result.policy_kl
    reward = f"its reward of itself jumped by {rise:.3f}" if rise is not None and rise > REWARD_JUMP else ""
    # The first policy's divergence is a jump from none: only later ones say something.
    jumped = now is not None and before > 0 and now - before > KL_JUMP and now > KL_RATIO * before
    kl = f"its divergence from the base model jumped from {before:.2f} to {now:.2f} nats per token" if jumped else ""
    if reward and kl:
        yield _stop(result, f"{reward} and {kl}")
    elif reward or kl:
        yield Alarm(result.round, reward or kl, stops=False)


def _difference(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else after - before


def _stop(result: RoundResult, sign: str) -> Alarm:
    return Alarm(result.round, sign, stops=True)


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
