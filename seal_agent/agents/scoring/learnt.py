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
from seal_agent.types import Message, Prompt, TrainingSequence

YES, NO = "yes", "no"
BATCH = 32  # steps that are scored in one pass of the engine, to bound its memory; not tuned
TOP = 10  # likeliest tokens among which a trained scorer's two answers are; where they are not, each is read; not tuned


@dataclass(frozen=True, slots=True)
class LearntScorer:
    """How probable the adapter holds "yes", against "no". `adapter` None is the base model, which learnt nothing.

    A prompt is read once where `base` is given and both answers are single tokens of its tokenizer, else twice.
    """

    engine: Engine
    adapter: LoraAdapter | None
    base: BaseModel | None = None
    name: str = "learnt"

    def score(self, attempts: Sequence[Attempt]) -> list[float | None]:
        scores: list[float | None] = []
        for start in range(0, len(attempts), BATCH):
            scores += self._score_batch(attempts[start : start + BATCH])
        return scores

    def _score_batch(self, attempts: Sequence[Attempt]) -> list[float]:
        prompts: list[Prompt] = [(Message("user", step_prompt("score-step", attempt)),) for attempt in attempts]
        once = self._read_once(prompts)
        twice = iter(self._read_twice([prompt for prompt, score in zip(prompts, once, strict=True) if score is None]))
        return [next(twice) if score is None else score for score in once]

    def _read_once(self, prompts: Sequence[Prompt]) -> list[float | None]:
        """Scores from the likeliest tokens that follow each prompt; None where both answers are not among them."""
        answers = [self.base.content_ids(answer) for answer in (YES, NO)] if self.base else []
        if not answers or any(len(ids) != 1 for ids in answers):
            return [None] * len(prompts)
        (yes,), (no,) = answers
        labels = self.engine.soft_labels(prompts, [[yes]] * len(prompts), TOP, [self.adapter] * len(prompts))
        scores: list[float | None] = []
        for (label,) in labels:
            shares = dict(zip(label.tokens, label.probabilities, strict=True))
            both = yes in shares and no in shares and shares[yes] + shares[no] > 0
            scores.append(shares[yes] / (shares[yes] + shares[no]) if both else None)
        return scores

    def _read_twice(self, prompts: Sequence[Prompt]) -> list[float]:
        answers = [YES] * len(prompts) + [NO] * len(prompts)
        if not prompts:
            return []
        logprobs = list(map(sum, self.engine.score([*prompts, *prompts], answers, [self.adapter] * len(answers))))
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
