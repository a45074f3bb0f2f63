"""What the inner loop is given and gives back: jobs, trained adapters, and how full its passes were."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from seal_agent.base_model.model import BaseModel
from seal_agent.config import InnerLoopConfig
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.lora.targets import find_targets
from seal_agent.training.retention.protected_directions import Directions
from seal_agent.types import IGNORE_LABEL, TrainingSequence, TrainingSummary


@dataclass(frozen=True, slots=True)
class TrainJob:
    """One adapter to train: its sequences, its settings, and the adapter it continues from, if any.

    `directions` are those of ordinary text, of which `config.null_space` protects a share and from which
    `config.shrink` holds back what was learnt; without them neither is done.
    """

    sequences: tuple[TrainingSequence, ...]
    config: InnerLoopConfig
    start: LoraAdapter | None = None
    directions: Directions | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class TrainedAdapter:
    """An adapter as it left the inner loop, and what was done to get there."""

    adapter: LoraAdapter
    summary: TrainingSummary


@dataclass(slots=True)
class BankReport:
    """How full the passes were."""

    passes: int = 0
    real_tokens: int = 0
    computed_tokens: int = 0
    resident: int = 0
    """Most adapters held at once."""
    halvings: int = 0
    """How often memory ran out and fewer adapters were held from then on."""

    @property
    def padding(self) -> float:
        """Share of the computed tokens that were padding, 0..1."""
        return 1 - self.real_tokens / self.computed_tokens if self.computed_tokens else 0.0


def steps_of(job: TrainJob) -> int:
    """Optimiser steps of a job."""
    return sum(steps_in(epoch, job.config) for epoch in epochs_of(learnable(job.sequences), job.config))


def decay(schedule: str, step: int, total: int) -> float:
    """Factor on the learning rate at a step counted from 0; linear and cosine end at zero, no warm-up."""
    if schedule == "linear":
        return 1 - step / total
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * step / total))
    return 1.0


def learnable(sequences: Sequence[TrainingSequence]) -> list[TrainingSequence]:
    """Those with a token to learn: a text of a single token has none, since nothing predicts the first."""
    return [s for s in sequences if any(label != IGNORE_LABEL for label in s.labels[1:])]


def epochs_of(sequences: Sequence[TrainingSequence], config: InnerLoopConfig) -> list[list[TrainingSequence]]:
    """What is learnt in each epoch; one without a sequence is left out."""
    epochs = [[s for s in sequences if s.epoch is None or s.epoch == number] for number in range(config.epochs)]
    return [epoch for epoch in epochs if epoch]


def steps_in(epoch: Sequence[TrainingSequence], config: InnerLoopConfig) -> int:
    return math.ceil(len(epoch) / config.batch_size)


def targets_of(base: BaseModel, job: TrainJob) -> tuple[str, ...]:
    return tuple(sorted(job.start.pairs if job.start else find_targets(base.module, job.config.targets)))
