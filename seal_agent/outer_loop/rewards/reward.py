"""The reward protocol, and the reward by questions; votes.py and rubric.py hold the other rewards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from seal_agent.outer_loop.units import Case, CaseAnswers, CaseResult, Trial, TrialResult
from seal_agent.types import Outcome, Reward


@dataclass(frozen=True, slots=True)
class RewardInput:
    """A trial to be rewarded.

    `tried` is None where the reward trains nothing, and has no answers where training failed.
    """

    case: Case[Any]
    trial: Trial
    baseline: CaseAnswers | None = None
    tried: TrialResult | None = None


class RewardModel(Protocol):
    """Gives every trial an outcome. A failure is an outcome too, never a reward of zero."""

    @property
    def name(self) -> str: ...

    @property
    def trains(self) -> bool:
        """Whether an adapter must be trained and questioned."""
        ...

    @property
    def samples(self) -> int:
        """Sampled answers that it needs to each of the model's own questions; 0 for none."""
        ...

    def score(self, inputs: Sequence[RewardInput]) -> list[Outcome]:
        """One outcome for each input, in order."""
        ...


@dataclass(frozen=True)
class QuestionReward:
    """Accuracy on the selection questions minus the base model's, less a penalty for guard questions lost.

    `guard_penalty` is the reward lost per share of the guard questions lost.
    """

    guard_penalty: float = 0.0
    name: str = "questions"
    trains: bool = True
    samples: int = 0

    def score(self, inputs: Sequence[RewardInput]) -> list[Outcome]:
        """One outcome for each input, in order."""
        return [self._outcome(entry) for entry in inputs]

    def _outcome(self, entry: RewardInput) -> Outcome:
        if entry.tried is None or entry.tried.answers is None or entry.baseline is None:
            return not_trained(entry)
        if not entry.baseline.selecting:
            return Outcome.failed("asking", "the context has no question")
        outcome = Outcome.of(entry.baseline.selecting, entry.tried.answers.selecting)
        if outcome.reward is None or not (self.guard_penalty and entry.baseline.guard):
            return outcome
        guard = Outcome.of(entry.baseline.guard, entry.tried.answers.guard)
        if guard.reward is None:
            return guard
        loss = max(0.0, -guard.reward.gain)
        return Outcome(Reward(outcome.reward.adapted - self.guard_penalty * loss, outcome.reward.baseline))


def not_trained(entry: RewardInput) -> Outcome:
    """The failed outcome of a trial without answers."""
    return Outcome.failed("training", entry.tried.failure if entry.tried else "it was not trained")


def gains(reward: RewardModel, cases: Sequence[Case[Any]], results: Sequence[CaseResult]) -> list[float]:
    """Rewards of the trials of self-edits, in order; trials that failed are left out."""
    inputs = [
        RewardInput(case, tried.trial, result.baseline, tried)
        for case, result in zip(cases, results, strict=True)
        for tried in result.tried
        if tried.trial.edit
    ]
    return [outcome.reward.gain for outcome in reward.score(inputs) if outcome.reward]


def reporting_outcome(result: CaseResult, tried: TrialResult) -> Outcome:
    """The outcome of a trial on the reporting questions, whatever the reward is."""
    if tried.answers is None:
        return Outcome.failed("training", tried.failure)
    if not result.baseline.reporting:
        return Outcome.failed("asking", "the context has no question to report on")
    return Outcome.of(result.baseline.reporting, tried.answers.reporting)
