"""What a self-edit is worth. One protocol: judged by questions, by a judge of its text, or by the model's own votes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from seal_agent.outer_loop.units import Asked, Case, CaseResult, Trial, Tried
from seal_agent.types import Outcome, Reward


@dataclass(frozen=True, slots=True)
class Judged:
    """A trial as a reward sees it; without answers where the reward asks for no training, or where it failed."""

    case: Case[Any]
    trial: Trial
    baseline: Asked | None = None
    tried: Tried | None = None


class RewardModel(Protocol):
    """Gives every trial an outcome; a failure is an outcome too, never a zero."""

    @property
    def name(self) -> str: ...

    @property
    def trains(self) -> bool:
        """Whether an adapter must be trained and asked."""
        ...

    @property
    def samples(self) -> int:
        """Sampled answers to each of the model's own questions that it needs; 0 for none."""
        ...

    def score(self, judged: Sequence[Judged]) -> list[Outcome]:
        """One outcome for each, in order."""
        ...


@dataclass(frozen=True)
class QuestionReward:
    """Accuracy on the selecting questions above the base model's; less the loss on the guard questions."""

    guard_penalty: float = 0.0
    name: str = "questions"
    trains: bool = True
    samples: int = 0

    def score(self, judged: Sequence[Judged]) -> list[Outcome]:
        return [self._one(one) for one in judged]

    def _one(self, one: Judged) -> Outcome:
        if one.tried is None or one.tried.answers is None or one.baseline is None:
            return Outcome.failed("training", one.tried.failure if one.tried else "it was not trained")
        if not one.baseline.selecting:
            return Outcome.failed("asking", "the context has no question")
        outcome = Outcome.of(one.baseline.selecting, one.tried.answers.selecting)
        if outcome.reward is None or not (self.guard_penalty and one.baseline.guard):
            return outcome
        guarded = Outcome.of(one.baseline.guard, one.tried.answers.guard)
        if guarded.reward is None:
            return guarded
        lost = max(0.0, -guarded.reward.gain)
        return Outcome(Reward(outcome.reward.adapted - self.guard_penalty * lost, outcome.reward.baseline))


def gains(reward: RewardModel, cases: Sequence[Case[Any]], results: Sequence[CaseResult]) -> list[float]:
    """Rewards of all trials of self-edits in these results that have one."""
    judged = [
        Judged(case, tried.trial, result.baseline, tried)
        for case, result in zip(cases, results, strict=True)
        for tried in result.tried
        if tried.trial.edit
    ]
    return [outcome.reward.gain for outcome in reward.score(judged) if outcome.reward]


def reported(result: CaseResult, tried: Tried) -> Outcome:
    """The same measure on the questions that never select anything."""
    if tried.answers is None:
        return Outcome.failed("training", tried.failure)
    if not result.baseline.reporting:
        return Outcome.failed("asking", "the context has no question to report on")
    return Outcome.of(result.baseline.reporting, tried.answers.reporting)
