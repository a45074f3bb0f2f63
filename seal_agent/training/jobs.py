"""Inputs and outputs of the inner loop: jobs, trained adapters, and a report on its passes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from textwrap import shorten

from seal_agent.base_model.model import BaseModel
from seal_agent.base_model.sight import FIRST_ID
from seal_agent.config import InnerLoopConfig
from seal_agent.errors import InputError, NothingToLearnError, TrainingError
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.lora.targets import find_targets
from seal_agent.training.retention.spectra import Directions
from seal_agent.types import IGNORE_LABEL, TrainingSequence, TrainingSummary


@dataclass(frozen=True, slots=True)
class TrainJob:
    """One adapter to train: its sequences, its settings, and the adapter it continues from, if any.

    `directions` are those of reference text. `config.null_space` protects the strongest share of them, and
    `config.shrink` weighs them in the ridge refit. Without `directions` both settings do nothing.
    """

    sequences: tuple[TrainingSequence, ...]
    config: InnerLoopConfig
    start: LoraAdapter | None = None
    directions: Directions | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class TrainedAdapter:
    """A trained adapter and a summary of its training."""

    adapter: LoraAdapter
    summary: TrainingSummary


@dataclass(slots=True)
class BankReport:
    """How full the passes were."""

    passes: int = 0
    real_tokens: int = 0
    computed_tokens: int = 0
    resident: int = 0
    """Largest number of adapters held at once."""
    halvings: int = 0
    """How often memory ran out, so that fewer adapters were held from then on."""

    @property
    def padding(self) -> float:
        """Share of the computed tokens that were padding, 0..1."""
        return 1 - self.real_tokens / self.computed_tokens if self.computed_tokens else 0.0


def steps_of(job: TrainJob) -> int:
    """Optimiser steps of a job."""
    epochs = split_epochs(trainable_sequences(job.sequences), job.config)
    return sum(steps_per_epoch(epoch, job.config) for epoch in epochs)


def decay(schedule: str, step: int, total: int) -> float:
    """Factor on the learning rate at a step counted from 0; linear and cosine end at zero, no warm-up."""
    if schedule == "linear":
        return 1 - step / total
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * step / total))
    return 1.0


def trainable_sequences(sequences: Sequence[TrainingSequence]) -> list[TrainingSequence]:
    """The sequences with a token to learn; a text of a single token has none, since nothing predicts the first."""
    return [s for s in sequences if any(label != IGNORE_LABEL for label in s.labels[1:])]


def check_makes_adapter(config: InnerLoopConfig) -> None:
    """Raises InputError for settings that train the whole model."""
    if config.full:
        raise InputError(
            "full=true trains no adapter that could be kept or taken back; it is for `seal bench squad_cpt`, leave it "
            "out elsewhere"
        )


def check_learnable(base: BaseModel, job: TrainJob) -> None:
    """Raises NothingToLearnError for a job that has a token to learn in none of its epochs."""
    if split_epochs(trainable_sequences(job.sequences), job.config):
        return
    texts = [[i for i in sequence.input_ids if i < FIRST_ID] for sequence in job.sequences]
    said = base.tokenizer.decode(max(texts, key=len, default=[])).strip()
    what = (
        f"{shorten(said, 60, placeholder=' …')!r} has no token to learn" if said else "no sequence has a token to learn"
    )
    raise NothingToLearnError(f"there is nothing to train on: {what}; give a longer text")


def check_lengths(base: BaseModel, sequences: Sequence[TrainingSequence]) -> None:
    """Raises TrainingError for a sequence beyond the model's window, where some have no positions."""
    longest = max((len(sequence.input_ids) for sequence in sequences), default=0)
    if longest > base.window:
        raise TrainingError(
            f"a sequence to train on has {longest} tokens, but the window of {base.name!r} is {base.window}; cut the "
            "text into shorter ones"
        )


def split_epochs(sequences: Sequence[TrainingSequence], config: InnerLoopConfig) -> list[list[TrainingSequence]]:
    """The sequences of each epoch; epochs without a sequence are left out."""
    epochs = [[s for s in sequences if s.epoch is None or s.epoch == number] for number in range(config.epochs)]
    return [epoch for epoch in epochs if epoch]


def steps_per_epoch(epoch: Sequence[TrainingSequence], config: InnerLoopConfig) -> int:
    return math.ceil(len(epoch) / config.batch_size)


def target_names(base: BaseModel, job: TrainJob) -> tuple[str, ...]:
    """Full names of the layers that the job's adapter changes, sorted."""
    return tuple(sorted(job.start.pairs if job.start else find_targets(base.module, job.config.targets)))
