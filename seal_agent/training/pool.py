"""Adapters that train side by side, and the queue behind them."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence

import torch

from seal_agent.base_model.model import BaseModel
from seal_agent.errors import TrainingError
from seal_agent.lora.routing import routed
from seal_agent.training.bank.route import BankRoute
from seal_agent.training.bank.storage import LoraBank
from seal_agent.training.job_run import JobRun
from seal_agent.training.jobs import BankReport, TrainedAdapter, decay
from seal_agent.training.loss import head_loss
from seal_agent.training.packing import Batch, Row, lay_out
from seal_agent.training.probes import supports_packing
from seal_agent.training.retention.norm_limit import NormLimit
from seal_agent.training.retention.protected_directions import ProtectedDirections
from seal_agent.training.retention.ridge_refit import ridge_refit
from seal_agent.types import IGNORE_LABEL

PROJECTED_EVERY = (
    4  # our choice: steps after which A leaves the protected directions; each time costs a tenth of a step
)


class Slot:
    """A resident adapter: its run, its optimiser, and what is left of its current step."""

    def __init__(self, base: BaseModel, bank: LoraBank, index: int, run: JobRun) -> None:
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
            ProtectedDirections(bank, index, run.targets, spared, config.null_space, run.job.start is None)
            if spared
            else None
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
            ridge_refit(self.base, self.bank, rows, layers, config)
        self.run.outcome = TrainedAdapter(self.bank.export(self.index), self.run.summary())


class Pool:
    """A bank and its queue: slots train side by side, and a finished one takes up the next job."""

    def __init__(
        self,
        base: BaseModel,
        runs: Sequence[JobRun],
        slots: int,
        budget: int,
        checkpointing: bool,
        report: BankReport,
        tell: Callable[[], None],
    ) -> None:
        self.base, self.budget, self.checkpointing, self.report, self.tell = base, budget, checkpointing, report, tell
        self.packed = supports_packing(base)
        self.queue = deque(runs)
        rank = max(run.rank for run in runs)
        self.bank = LoraBank(base.module, runs[0].targets, min(slots, len(runs)), rank, base.device, base.dtype)
        self.slots = [Slot(base, self.bank, k, self.queue.popleft()) for k in range(self.bank.slots)]
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

    def _replace(self, slot: Slot) -> None:
        at = self.slots.index(slot)
        if self.queue:
            self.slots[at] = Slot(self.base, self.bank, slot.index, self.queue.popleft())
        else:
            del self.slots[at]
