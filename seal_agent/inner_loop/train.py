"""LoRA finetuning: jobs in, adapters out, many of them in every pass.

K adapters are resident in a bank. A pass takes waiting sequences from as many slots as its token budget holds; a slot
whose step is complete is updated, one whose steps are done makes room for the next job of the queue. What a job is
trained on, and in which order, depends on that job alone.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import torch

from seal_agent.config import BankConfig, InnerLoopConfig
from seal_agent.errors import InputError, TrainingError
from seal_agent.inner_loop.checkpointing import make_checkpointable
from seal_agent.inner_loop.lora import LoraAdapter, find_targets, new_adapter
from seal_agent.inner_loop.lora_bank import BankRoute, LoraBank, bytes_per_slot, parameters_of
from seal_agent.inner_loop.loss import head_loss
from seal_agent.inner_loop.memory import available_bytes, is_out_of_memory
from seal_agent.inner_loop.norm_limit import NormLimit
from seal_agent.inner_loop.null_space import Directions, NullSpace
from seal_agent.inner_loop.packing import Batch, Row, lay_out, packs, shared_prefixes, shares_prefixes
from seal_agent.inner_loop.routing import make_routable, routed
from seal_agent.inner_loop.segments import use_segment_attention
from seal_agent.inner_loop.shrinkage import shrink
from seal_agent.models import BaseModel
from seal_agent.types import IGNORE_LABEL, TrainingSequence, TrainingSummary

PROJECTED_EVERY = (
    4  # our choice: steps after which A leaves the protected directions; each time costs a tenth of a step
)
Progress = Callable[[int, int], None]
"""Called with steps done and steps in all."""


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
class Trained:
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


def train(
    base: BaseModel, jobs: Sequence[TrainJob], progress: Progress | None = None, bank: BankConfig | None = None
) -> list[Trained]:
    """Train one adapter per job on the frozen base and return them in the jobs' order.

    Raises TrainingError if a loss is not finite, InputError for a job without a token to learn.
    """
    results, _ = train_each(base, jobs, progress, bank)
    for result in results:
        if isinstance(result, TrainingError):
            raise result
    return [result for result in results if isinstance(result, Trained)]


def train_each(
    base: BaseModel, jobs: Sequence[TrainJob], progress: Progress | None = None, bank: BankConfig | None = None
) -> tuple[list[Trained | TrainingError], BankReport]:
    """As `train`, but a job that fails yields its error in its place and leaves the others alone."""
    config, report = bank or BankConfig(), BankReport()
    use_segment_attention(base)
    shares = packs(base) and shares_prefixes(base)
    runs = [_Run(job, _targets_of(base, job), _learnable(job.sequences), shares) for job in jobs]
    total = sum(run.total for run in runs)

    def tell() -> None:
        if progress:
            progress(sum(run.step for run in runs), total)

    for targets in dict.fromkeys(run.targets for run in runs):
        _train_alike(base, [run for run in runs if run.targets == targets], config, report, tell)
    return [run.result() for run in runs], report


def steps_of(job: TrainJob) -> int:
    """Optimiser steps of a job."""
    return sum(_steps(epoch, job.config) for epoch in _epochs_of(_learnable(job.sequences), job.config))


def decay(schedule: str, step: int, total: int) -> float:
    """Factor on the learning rate at a step counted from 0; linear and cosine end at zero, no warm-up."""
    if schedule == "linear":
        return 1 - step / total
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * step / total))
    return 1.0


def _learnable(sequences: Sequence[TrainingSequence]) -> list[TrainingSequence]:
    """Those with a token to learn: a text of a single token has none, since nothing predicts the first."""
    return [s for s in sequences if any(label != IGNORE_LABEL for label in s.labels[1:])]


def _epochs_of(sequences: Sequence[TrainingSequence], config: InnerLoopConfig) -> list[list[TrainingSequence]]:
    """What is learnt in each epoch; one without a sequence is left out."""
    epochs = [[s for s in sequences if s.epoch is None or s.epoch == number] for number in range(config.epochs)]
    return [epoch for epoch in epochs if epoch]


def _steps(epoch: Sequence[TrainingSequence], config: InnerLoopConfig) -> int:
    return math.ceil(len(epoch) / config.batch_size)


def _targets_of(base: BaseModel, job: TrainJob) -> tuple[str, ...]:
    return tuple(sorted(job.start.pairs if job.start else find_targets(base.module, job.config.targets)))


# ---------------------------------------------------------------- one job on its way


@dataclass(slots=True)
class _Run:
    """What a job has done so far, wherever its weights are."""

    job: TrainJob
    targets: tuple[str, ...]
    sequences: list[TrainingSequence]
    shares: bool
    """Whether the base lets sequences share their beginnings."""
    step: int = 0
    tokens: int = 0
    epoch_losses: list[float] = field(default_factory=list)
    outcome: Trained | TrainingError | None = None
    epochs: list[list[TrainingSequence]] = field(init=False)
    """The sequences of each epoch."""
    _prefixes: dict[int, int] = field(init=False)
    _order: random.Random = field(init=False)
    _epoch: deque[list[TrainingSequence]] = field(init=False)
    _losses: list[float] = field(init=False)

    def __post_init__(self) -> None:
        self.epochs = _epochs_of(self.sequences, self.job.config)
        if not self.epochs:
            raise InputError("there is nothing to train on: no sequence has a token to learn")
        sharing = self.shares and not self.job.config.dropout  # whose draws are a sequence's own
        shared = shared_prefixes(self.sequences) if sharing else [0] * len(self.sequences)
        self._prefixes = dict(zip(map(id, self.sequences), shared, strict=True))
        self.restart()

    def restart(self) -> None:
        self.step, self.tokens, self.epoch_losses = 0, 0, []
        self._order, self._epoch, self._losses = random.Random(self.job.config.seed), deque(), []

    @property
    def rank(self) -> int:
        return self.job.start.rank if self.job.start else self.job.config.rank

    def start(self, base: BaseModel) -> LoraAdapter:
        """What training begins from; a new one is made when its turn comes, since a queue may be long."""
        if self.job.start:
            return self.job.start
        config = self.job.config
        targets = find_targets(base.module, config.targets)
        return new_adapter(base.module, targets, config.rank, config.alpha, config.seed)

    @property
    def total(self) -> int:
        return sum(_steps(epoch, self.job.config) for epoch in self.epochs)

    def next_batch(self) -> list[TrainingSequence]:
        """The sequences of the coming step; every epoch in an order of its own."""
        if not self._epoch:
            sequences = self.epochs[len(self.epoch_losses)]
            size, shuffled = self.job.config.batch_size, self._order.sample(sequences, len(sequences))
            self._epoch.extend(shuffled[i : i + size] for i in range(0, len(shuffled), size))
        return self._epoch.popleft()

    def prefix_of(self, sequence: TrainingSequence) -> int:
        """Tokens at its beginning that others of this job share."""
        return self._prefixes[id(sequence)]

    def finish_step(self, loss: float, tokens: int) -> bool:
        """Count a step; True when it was the last."""
        self.step += 1
        self.tokens += tokens
        self._losses.append(loss)
        if self._epoch:
            return False
        self.epoch_losses.append(sum(self._losses) / len(self._losses))
        self._losses = []
        enough = self.job.config.stop_below_loss
        return self.step == self.total or (enough is not None and self.epoch_losses[-1] < enough)

    def summary(self) -> TrainingSummary:
        return TrainingSummary(len(self.sequences), self.step, self.tokens, tuple(self.epoch_losses))

    def result(self) -> Trained | TrainingError:
        assert self.outcome is not None
        return self.outcome


class _Slot:
    """A resident adapter: its run, its optimiser, and what is left of its current step."""

    def __init__(self, base: BaseModel, bank: LoraBank, index: int, run: _Run) -> None:
        self.base, self.bank, self.index, self.run = base, bank, index, run
        config = run.job.config
        bank.load(index, run.start(base), config.dropout)
        self._weights = torch.nn.Parameter(bank.weights_KP[index])
        self._optimizer = torch.optim.AdamW(
            [self._weights], lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
        )
        limit = config.max_update
        self._limit = NormLimit(base.module, bank, run.targets, limit) if limit else None
        spared = run.job.directions if config.null_space else None
        self._null_space = (
            NullSpace(bank, index, run.targets, spared, config.null_space, run.job.start is None) if spared else None
        )
        self.waited = 0
        self._begin()

    def _begin(self) -> None:
        batch = self.run.next_batch()
        labels = sum(label != IGNORE_LABEL for s in batch for label in s.labels[1:])
        config = self.run.job.config
        seed = hash((config.seed, self.run.step)) if config.dropout else None
        self.rows = deque(
            Row(self.index, s, s.weight / labels, 0 if seed is None else seed + i, self.run.prefix_of(s))
            for i, s in enumerate(batch)
        )
        self._tokens, self._loss = sum(len(s.input_ids) for s in batch), 0.0
        self.bank.begin_step(self.index)

    def add_loss(self, loss: float) -> None:
        self._loss += loss

    def step(self) -> None:
        """Update the weights with the gradient of a complete step, and take up the next."""
        run, config = self.run, self.run.job.config
        if not math.isfinite(self._loss):
            run.outcome = TrainingError(
                f"the loss became {self._loss} at step {run.step + 1} of {run.total}; nothing was saved: "
                f"try a smaller learning_rate than {config.learning_rate:g}"
            )
            return
        self._optimizer.param_groups[0]["lr"] = config.learning_rate * decay(config.schedule, run.step, run.total)
        self._weights.grad = self.bank.gradient(self.index)
        torch.nn.utils.clip_grad_norm_([self._weights], config.max_grad_norm)
        self._optimizer.step()
        if self._null_space and (run.step + 1) % PROJECTED_EVERY == 0:
            self._null_space.apply()
        if self._limit:
            self._limit.apply(self.index)
        self.bank.refresh(self.index)
        if run.finish_step(self._loss, self._tokens):
            self._finish()
        else:
            self._begin()

    def _finish(self) -> None:
        if not torch.isfinite(self._weights).all():
            self.run.outcome = TrainingError(
                "the trained weights are not finite; nothing was saved: try a smaller learning_rate"
            )
            return
        config, directions = self.run.job.config, self.run.job.directions
        if self._null_space:
            self._null_space.apply()
            self.bank.refresh(self.index)
        if directions and config.shrink:
            every = [sequence for epoch in self.run.epochs for sequence in epoch]
            rows = [Row(self.index, s, 1.0, 0, self.run.prefix_of(s)) for s in every]
            layers = {name: directions[name] for name in self.run.targets}
            shrink(self.base, self.bank, rows, layers, config)
        self.run.outcome = Trained(self.bank.export(self.index), self.run.summary())


# ---------------------------------------------------------------- the queue


def _train_alike(
    base: BaseModel, runs: Sequence[_Run], config: BankConfig, report: BankReport, tell: Callable[[], None]
) -> None:
    """Train runs that touch the same layers, in one bank; with half of it whenever memory runs out."""
    make_routable(base.module, runs[0].targets)
    budget = config.tokens_per_pass or _default_budget(base)
    slots = min(config.max_adapters or _resident(base, runs, budget), len(runs))
    checkpointing = config.checkpointing and make_checkpointable(base.module) > 0
    while waiting := [run for run in runs if run.outcome is None]:
        try:
            _Pool(base, waiting, slots, budget, checkpointing, report, tell).run()
        except (RuntimeError, MemoryError) as err:
            if not is_out_of_memory(err):
                raise
            if slots == 1 and budget == 1:
                raise TrainingError(
                    "memory ran out with a single adapter and a single sequence in it; train on shorter texts, "
                    "with a lower rank, or with BankConfig(checkpointing=True)"
                ) from err
        else:
            return
        slots, budget = max(1, slots // 2), max(1, budget // 2) if slots > 1 else 1
        report.halvings += 1
        for run in waiting:
            if run.outcome is None:
                run.restart()


class _Pool:
    """A bank and its queue: slots train side by side, and a finished one takes up the next job."""

    def __init__(
        self,
        base: BaseModel,
        runs: Sequence[_Run],
        slots: int,
        budget: int,
        checkpointing: bool,
        report: BankReport,
        tell: Callable[[], None],
    ) -> None:
        self.base, self.budget, self.checkpointing, self.report, self.tell = base, budget, checkpointing, report, tell
        self.packed = packs(base)
        self.queue = deque(runs)
        rank = max(run.rank for run in runs)
        self.bank = LoraBank(base.module, runs[0].targets, min(slots, len(runs)), rank, base.device, base.dtype)
        self.slots = [_Slot(base, self.bank, k, self.queue.popleft()) for k in range(self.bank.slots)]
        report.resident = max(report.resident, len(self.slots))

    def run(self) -> None:
        while self.slots:
            rows = self._take()
            batch = lay_out(rows, self.packed, self.base.pad_id, self.base.device)
            losses = self._pass(batch)
            self._count(batch)
            for slot in [s for s in self.slots if any(row.slot == s.index for row in rows)]:
                slot.add_loss(losses[slot.index])
                if not slot.rows:
                    slot.step()
                    self.tell()
                if slot.run.outcome is not None:
                    self._replace(slot)

    def _take(self) -> list[Row]:
        """Rows for one pass: the slot that waited longest leads, and others join while the budget holds.

        Where rows are padded, those nearest in length join first.
        """
        order = sorted(self.slots, key=lambda s: (-s.waited, s.index))
        lead = len(order[0].rows[0].sequence.input_ids)
        if not self.packed:
            order[1:] = sorted(order[1:], key=lambda s: (abs(len(s.rows[0].sequence.input_ids) - lead), s.index))
        taken: list[Row] = []
        longest = tokens = 0
        begun: set[tuple[int, tuple[int, ...]]] = set()
        for slot in order:
            slot.waited += 1
            while slot.rows:
                row = slot.rows[0]
                beginning = (row.slot, row.sequence.input_ids[: row.prefix])
                length = len(row.sequence.input_ids) - (row.prefix if beginning in begun else 0)
                computed = tokens + length if self.packed else max(longest, length) * (len(taken) + 1)
                if taken and computed > self.budget:
                    break
                longest, tokens = max(longest, length), tokens + length
                begun.add(beginning)
                taken.append(slot.rows.popleft())
                slot.waited = 0
        return taken

    def _pass(self, batch: Batch) -> dict[int, float]:
        """Forward and backward; the gradients are in the bank afterwards. Returns each slot's share of its loss."""
        route = BankRoute(self.bank, batch.spans, batch.segments, self.checkpointing)
        with routed(route):
            nll_M = head_loss(self.base, batch)
        losses_K = torch.zeros(self.bank.slots, device=nll_M.device)
        losses_K.index_add_(0, batch.slots_M, nll_M * batch.weights_M)
        return dict(enumerate(losses_K.tolist()))

    def _count(self, batch: Batch) -> None:
        self.report.passes += 1
        self.report.real_tokens += batch.real_tokens
        self.report.computed_tokens += batch.tokens

    def _replace(self, slot: _Slot) -> None:
        at = self.slots.index(slot)
        if self.queue:
            self.slots[at] = _Slot(self.base, self.bank, slot.index, self.queue.popleft())
        else:
            del self.slots[at]


TOKENS_PER_PASS = {"cpu": 640, "cuda": 16_384}  # measured on 2 cores; on a GPU our choice, see benchmarks/inner_loop.py


def _default_budget(base: BaseModel) -> int:
    return TOKENS_PER_PASS.get(base.device.type, TOKENS_PER_PASS["cpu"])


def _resident(base: BaseModel, runs: Iterable[_Run], budget: int) -> int:
    """As many adapters as fill a pass, and as fit into half of the free memory."""
    runs = list(runs)
    own = [len(s.input_ids) - run.prefix_of(s) for run in runs for s in run.sequences]
    mean = sum(own) / len(own)
    rank = max(run.rank for run in runs)
    each = bytes_per_slot(parameters_of(base.module, runs[0].targets, rank), base.dtype)
    fitting = available_bytes(base.device) // 2 // each
    return max(1, min(math.ceil(budget / mean), fitting))
