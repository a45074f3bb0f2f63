"""What came of a round: a value that the ledger keeps and every report is made from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import fmean

from seal_agent.outer_loop.selection import Scored, advantage
from seal_agent.types import Outcome


@dataclass(frozen=True, slots=True)
class ContextResult:
    """One context: its self-edits with their rewards, those that were kept, and what the context alone was worth.

    `alone` are rewards of adapters trained without a self-edit, one for each seed; `baseline` is the base model's
    accuracy on the questions that select, None where nothing was asked.
    """

    title: str
    scored: tuple[Scored, ...]
    kept: tuple[int, ...] = ()
    alone: tuple[Outcome, ...] = ()
    alone_reporting: tuple[Outcome, ...] = ()
    baseline: float | None = None

    @property
    def winners(self) -> list[Scored]:
        return [self.scored[i] for i in self.kept]


@dataclass(frozen=True, slots=True)
class RoundResult:
    """A round: who wrote the self-edits, what they were worth, and who learnt from the winners.

    Policies are named by the SHA-256 of their files, the base model is "". A round that only measures has no
    `next_policy`; one without winners keeps the last.
    """

    round: int
    policy: str
    next_policy: str | None
    contexts: tuple[ContextResult, ...]
    losses: tuple[float, ...] = ()
    vote_entropy: float | None = None
    """Mean entropy of the adapted models' answers to their own questions, nats; None where none were sampled."""

    def gains(self) -> list[float]:
        """Mean reward of every self-edit that has one, on the questions that select."""
        return [one.mean for one in self.every() if one.mean is not None]

    def reporting_gains(self) -> list[float]:
        """Mean gain of every self-edit on the questions that only report."""
        return [one.reporting_mean for one in self.every() if one.reporting_mean is not None]

    def every(self) -> Iterator[Scored]:
        """All self-edits of the round."""
        return (one for context in self.contexts for one in context.scored)

    @property
    def mean(self) -> float | None:
        gains = self.gains()
        return fmean(gains) if gains else None

    @property
    def reporting_mean(self) -> float | None:
        gains = self.reporting_gains()
        return fmean(gains) if gains else None

    @property
    def advantage(self) -> float | None:
        """How far the kept lie above the mean of their context's; see selection.py."""
        every = {str(i): context.scored for i, context in enumerate(self.contexts)}
        return advantage({str(i): context.winners for i, context in enumerate(self.contexts)}, every)

    @property
    def failed(self) -> int:
        """Adapters that failed or whose answers could not be graded."""
        return sum(outcome.reward is None for one in self.every() for outcome in one.outcomes)

    @property
    def rejected(self) -> int:
        """Self-edits that may not be kept whatever their reward."""
        return sum(bool(one.rejected) for one in self.every())
