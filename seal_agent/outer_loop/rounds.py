"""The result of a round: a value that the ledger keeps and every report is made from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import fmean

from seal_agent.outer_loop.selection import ScoredEdit, advantage
from seal_agent.types import Outcome


@dataclass(frozen=True, slots=True)
class ContextResult:
    """One context: its self-edits with their rewards, which of them were kept, and the reward of the context alone.

    `kept` are positions in `scored`. `alone` are outcomes of adapters trained without a self-edit, one per seed;
    `alone_reporting` are the same adapters on the reporting questions. `baseline` is the base model's accuracy on the
    selection questions, 0..1; None where none were asked.
    """

    title: str
    scored: tuple[ScoredEdit, ...]
    kept: tuple[int, ...] = ()
    alone: tuple[Outcome, ...] = ()
    alone_reporting: tuple[Outcome, ...] = ()
    baseline: float | None = None

    @property
    def winners(self) -> list[ScoredEdit]:
        return [self.scored[i] for i in self.kept]


@dataclass(frozen=True, slots=True)
class RoundResult:
    """One round: which policy wrote the self-edits, their rewards, and the policy finetuned on the winners.

    Policies are named by the SHA-256 of their files; the base model is "". A round that only measures has no
    `next_policy`; in a round without winners it is the same as `policy`.
    """

    round: int
    policy: str
    next_policy: str | None
    contexts: tuple[ContextResult, ...]
    losses: tuple[float, ...] = ()
    vote_entropy: float | None = None
    """Mean entropy of the adapted models' answers to their own questions, nats; None where none were sampled."""
    answer_diversity: float | None = None
    """How far their commonest answers to different questions differ, see `votes.diversity_across`; None as above."""
    policy_kl: float | None = None
    """Divergence of the policy from the base model on its self-edits, nats per token; None as above."""

    def scored_edits(self) -> Iterator[ScoredEdit]:
        """All self-edits of the round."""
        return (scored for context in self.contexts for scored in context.scored)

    def gains(self) -> list[float]:
        """Mean reward of each self-edit on the selection questions; self-edits without a reward are left out."""
        return [scored.mean for scored in self.scored_edits() if scored.mean is not None]

    def reporting_gains(self) -> list[float]:
        """Mean gain of each self-edit on the reporting questions; self-edits without one are left out."""
        return [scored.reporting_mean for scored in self.scored_edits() if scored.reporting_mean is not None]

    @property
    def mean(self) -> float | None:
        """Mean of `gains`; None where there are none."""
        gains = self.gains()
        return fmean(gains) if gains else None

    @property
    def reporting_mean(self) -> float | None:
        """Mean of `reporting_gains`; None where there are none."""
        gains = self.reporting_gains()
        return fmean(gains) if gains else None

    @property
    def advantage(self) -> float | None:
        """Mean reward of the kept self-edits above that of all self-edits of their context; see selection.py."""
        scored = {str(i): context.scored for i, context in enumerate(self.contexts)}
        return advantage({str(i): context.winners for i, context in enumerate(self.contexts)}, scored)

    @property
    def failed(self) -> int:
        """Number of adapters that failed or whose answers could not be graded."""
        return sum(outcome.reward is None for scored in self.scored_edits() for outcome in scored.outcomes)

    @property
    def rejected(self) -> int:
        """Number of self-edits that may not be kept whatever their reward."""
        return sum(bool(scored.rejected) for scored in self.scored_edits())
