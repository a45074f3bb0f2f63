"""A LoRA adapter of the agent's own base model as scorer: it learns to answer yes or no about a step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from seal_agent.agents.scoring.labels import Label
from seal_agent.agents.scoring.scorer import Attempt, step_prompt
from seal_agent.base_model.model import BaseModel
from seal_agent.config import InnerLoopConfig
from seal_agent.generation.engine import Engine, resting
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.progress import Progress
from seal_agent.training.jobs import TrainJob
from seal_agent.training.sequences import encode_turns
from seal_agent.training.train import train
from seal_agent.types import Message, TrainingSequence

YES, NO = "yes", "no"
BATCH = 32  # steps that are scored in one pass of the engine, to bound its memory; not tuned


@dataclass(frozen=True, slots=True)
class LearntScorer:
    """How probable the adapter holds "yes", against "no". `adapter` None is the base model, which learnt nothing."""

    engine: Engine
    adapter: LoraAdapter | None
    name: str = "learnt"

    def score(self, attempts: Sequence[Attempt]) -> list[float | None]:
        scores: list[float | None] = []
        for start in range(0, len(attempts), BATCH):
            scores += self._score_batch(attempts[start : start + BATCH])
        return scores

    def _score_batch(self, attempts: Sequence[Attempt]) -> list[float]:
        prompts = [(Message("user", step_prompt("score-step", attempt)),) for attempt in attempts]
        answers = [YES] * len(prompts) + [NO] * len(prompts)
        logprobs = list(map(sum, self.engine.score(prompts * 2, answers, [self.adapter] * len(answers))))
        return [_share(yes, no) for yes, no in zip(logprobs[: len(prompts)], logprobs[len(prompts) :], strict=True)]


def train_scorer(
    engine: Engine, base: BaseModel, labels: Sequence[Label], config: InnerLoopConfig, progress: Progress | None = None
) -> LoraAdapter:
    """Train a scorer on labelled steps, from a new adapter. Raises TrainingError."""
    job = TrainJob(tuple(_sequence(base, label) for label in labels), config)
    with resting(engine):
        (trained,) = train(base, [job], progress)
    return trained.adapter


def _sequence(base: BaseModel, label: Label) -> TrainingSequence:
    return encode_turns(base, step_prompt("score-step", label.attempt), YES if label.good else NO)


def _share(yes: float, no: float) -> float:
    """The probability of yes where only yes and no are possible, from their log-probabilities."""
    return 1 / (1 + math.exp(min(700.0, no - yes)))
