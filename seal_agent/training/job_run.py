"""The state of one training job: its epochs, batches and losses."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import SupportsFloat

from seal_agent.base_model.model import BaseModel
from seal_agent.errors import TrainingError
from seal_agent.lora.adapter import LoraAdapter, new_adapter
from seal_agent.lora.targets import find_targets
from seal_agent.training.jobs import TrainedAdapter, TrainJob, split_epochs, steps_per_epoch
from seal_agent.training.packing import shareable_prefixes
from seal_agent.types import TrainingSequence, TrainingSummary


@dataclass(slots=True)
class JobRun:
    """Progress of a job; its weights are elsewhere."""

    job: TrainJob
    targets: tuple[str, ...]
    sequences: list[TrainingSequence]
    shares_prefixes: bool
    """Whether the base model allows shared prefixes."""
    step: int = 0
    tokens: int = 0
    outcome: TrainedAdapter | TrainingError | None = None
    epochs: list[list[TrainingSequence]] = field(init=False)
    """The sequences of each epoch."""
    _prefixes: dict[int, int] = field(init=False)
    _shuffler: random.Random = field(init=False)
    _batches: deque[list[TrainingSequence]] = field(init=False)
    _losses: list[SupportsFloat] = field(init=False)
    _epochs_done: list[list[SupportsFloat]] = field(init=False)

    def __post_init__(self) -> None:
        self.epochs = split_epochs(self.sequences, self.job.config)
        # Each sequence draws its own dropout mask, so no two may share a prefix.
        sharing = self.shares_prefixes and not self.job.config.dropout
        lengths = shareable_prefixes(self.sequences) if sharing else [0] * len(self.sequences)
        self._prefixes = dict(zip(map(id, self.sequences), lengths, strict=True))
        self.restart()

    def restart(self) -> None:
        self.step, self.tokens, self._epochs_done = 0, 0, []
        self._shuffler, self._batches, self._losses = random.Random(self.job.config.seed), deque(), []

    @property
    def epoch_losses(self) -> list[float]:
        """The mean loss of each epoch so far."""
        return [_mean(losses) for losses in self._epochs_done]

    @property
    def rank(self) -> int:
        return self.job.start.rank if self.job.start else self.job.config.rank

    def start(self, base: BaseModel) -> LoraAdapter:
        """The adapter that training starts from. A new one is created only now, since the queue may be long."""
        if self.job.start:
            return self.job.start
        config = self.job.config
        targets = find_targets(base.module, config.targets)
        return new_adapter(base.module, targets, config.rank, config.alpha, config.seed)

    @property
    def total_steps(self) -> int:
        return sum(steps_per_epoch(epoch, self.job.config) for epoch in self.epochs)

    def next_batch(self) -> list[TrainingSequence]:
        """The sequences of the next step; every epoch is shuffled anew."""
        if not self._batches:
            sequences = self.epochs[len(self._epochs_done)]
            size, shuffled = self.job.config.batch_size, self._shuffler.sample(sequences, len(sequences))
            self._batches.extend(shuffled[i : i + size] for i in range(0, len(shuffled), size))
        return self._batches.popleft()

    def prefix_length(self, sequence: TrainingSequence) -> int:
        """Tokens at the start of a sequence that other sequences of this job share."""
        return self._prefixes[id(sequence)]

    def finish_step(self, loss: SupportsFloat, tokens: int) -> bool:
        """Count a step; its loss may be one that the device has yet to tell. Returns True if it was the last."""
        self.step += 1
        self.tokens += tokens
        self._losses.append(loss)
        if self._batches:
            return False
        self._epochs_done.append(self._losses)
        self._losses = []
        threshold = self.job.config.stop_below_loss
        return self.step == self.total_steps or (threshold is not None and _mean(self._epochs_done[-1]) < threshold)

    def summary(self) -> TrainingSummary:
        return TrainingSummary(len(self.sequences), self.step, self.tokens, tuple(self.epoch_losses))

    def result(self) -> TrainedAdapter | TrainingError:
        assert self.outcome is not None
        return self.outcome


def _mean(losses: Sequence[SupportsFloat]) -> float:
    return sum(map(float, losses)) / len(losses)
