"""The adapters that train side by side, and the queue of jobs behind them."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence

import torch

from seal_agent.base_model.model import BaseModel
from seal_agent.errors import TrainingError
from seal_agent.lora.routing import routed
from seal_agent.lora.text_layers import text_layers
from seal_agent.seeds import derived_seed
from seal_agent.training.bank.route import BankRoute
from seal_agent.training.bank.storage import LoraBank
from seal_agent.training.job_run import JobRun
from seal_agent.training.jobs import BankReport, TrainedAdapter, decay
from seal_agent.training.loss import head_loss
from seal_agent.training.loss_scale import infinite_weights
from seal_agent.training.packing import Batch, Row, lay_out
from seal_agent.training.probes import supports_packing
from seal_agent.training.retention.norm_limit import NormLimit
from seal_agent.training.retention.protected_directions import ProtectedDirections
from seal_agent.training.retention.ridge_refit import ridge_refit
from seal_agent.types import IGNORE_LABEL

# Steps between projections of A off the protected directions. Not tuned; each projection costs a tenth of a step.
PROJECTION_INTERVAL = 4


class Slot:
    """A resident adapter: its run, its optimiser, and the rows left of its current step."""

    def __init__(self, base: BaseModel, bank: LoraBank, index: int, run: JobRun) -> None:
        self.base, self.bank, self.index, self.run = base, bank, index, run
        config = run.job.config
        self._load()
        self._weights = torch.nn.Parameter(bank.weights_KP[index])
        self._optimizer = torch.optim.AdamW(
            [self._weights], lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
        )
        self._norm_limit = NormLimit(base.module, bank, run.targets, config.max_update) if config.max_update else None
        directions = run.job.directions if config.null_space else None
        self._protected = (
            ProtectedDirections(bank, index, run.targets, directions, config.null_space, run.job.start is None)
            if directions
            else None
        )
        self.passes_waited = 0
        self._begin_step()

    def _load(self) -> None:
        self.bank.load(self.index, self.run.start(self.base), self.run.job.config.dropout)

    def _begin_step(self) -> None:
        batch = self.run.next_batch()
        labels = sum(label != IGNORE_LABEL for sequence in batch for label in sequence.labels[1:])
        config = self.run.job.config
        seed = derived_seed(config.seed, "dropout", self.run.step)
        self.rows = deque(
            Row(
                self.index,
                s,
                s.weight / labels,
                derived_seed(seed, i) if config.dropout else 0,
                self.run.prefix_length(s),
            )
            for i, s in enumerate(batch)
        )
        self._tokens, self._loss = sum(len(s.input_ids) for s in batch), 0.0
        self.bank.begin_step(self.index)

    def add_loss(self, loss: float) -> None:
        self._loss += loss

    def step(self) -> None:
        """Update the weights with the gradient of a complete step, and begin the next step."""
        run, config = self.run, self.run.job.config
        if not math.isfinite(self._loss):
            run.outcome = diverged(run, self._loss, run.step + 1)
            return
        self._optimizer.param_groups[0]["lr"] = self.learning_rate
        self._weights.grad = self.bank.gradient(self.index)
        torch.nn.utils.clip_grad_norm_([self._weights], config.max_grad_norm)
        self._optimizer.step()
        self.constrain()
        self.bank.refresh(self.index)
        if run.finish_step(self._loss, self._tokens):
            self._finish()
        else:
            self._begin_step()

    @property
    def learning_rate(self) -> float:
        """Of the present step."""
        run, config = self.run, self.run.job.config
        return config.learning_rate * decay(config.schedule, run.step, run.total_steps)

    def constrain(self) -> bool:
        """After an update: hold protected directions and the limit. Returns whether there are any."""
        run = self.run
        if self._protected and (run.step + 1) % PROJECTION_INTERVAL == 0:
            self._protected.apply()
        if self._norm_limit:
            self._norm_limit.apply(self.index)
        return bool(self._protected or self._norm_limit)

    def _finish(self) -> None:
        if not torch.isfinite(self._weights).all():
            self.run.outcome = infinite_weights(self.base.dtype)
            return
        config, directions = self.run.job.config, self.run.job.directions
        if self._protected:
            self._protected.apply()
            self.bank.refresh(self.index)
        if directions and config.shrink:
            sequences = [sequence for epoch in self.run.epochs for sequence in epoch]
            rows = [Row(self.index, s, 1.0, 0, self.run.prefix_length(s)) for s in sequences]
            layers = {name: directions[name] for name in self.run.targets if name in directions}
            ridge_refit(self.base, self.bank, rows, layers, config)
        self.run.outcome = TrainedAdapter(self.bank.export(self.index), self.run.summary())


def diverged(run: JobRun, loss: float, step: int) -> TrainingError:
    """The error for a loss that is not finite."""
    return TrainingError(
        f"the loss became {loss} at step {step} of {run.total_steps}; nothing was saved: "
        f"try a smaller learning_rate than {run.job.config.learning_rate:g}"
    )


class Pool:
    """A bank and its queue: slots train side by side, and a finished slot takes the next job."""

    def __init__(
        self,
        base: BaseModel,
        runs: Sequence[JobRun],
        slots: int,
        budget: int,
        checkpointing: bool,
        report: BankReport,
        report_progress: Callable[[], None],
        graphs: bool = True,
    ) -> None:
        """`slots` adapters are resident at most; a pass computes `budget` tokens at most, if it has several rows.

        `graphs` allows passes to be recorded and replayed, where a pool can.
        """
        self.base, self.budget, self.checkpointing, self.graphs = base, budget, checkpointing, graphs
        self.report, self.report_progress = report, report_progress
        self.packed = supports_packing(base)
        by_token = text_layers(base.module).by_token
        # A layer that sees only some of the tokens, such as an expert, cannot tell whose they are.
        self.mixes_slots = all(name in by_token for name in runs[0].targets)
        self.queue = deque(runs)
        self.slots: list[Slot] = []
        self._make_slots(runs, min(slots, len(runs)), rank=max(run.rank for run in runs))
        report.resident = max(report.resident, len(self.slots))
        self._prepare(runs)

    def _prepare(self, runs: Sequence[JobRun]) -> None:
        """What else a pool needs, once its slots are there."""

    def _make_slots(self, runs: Sequence[JobRun], slots: int, rank: int) -> None:
        self.bank = LoraBank(self.base.module, runs[0].targets, slots, rank, self.base.device, self.base.dtype)
        self.slots = [self._make_slot(k) for k in range(slots)]

    def _make_slot(self, index: int) -> Slot:
        """A slot with the next job of the queue."""
        return Slot(self.base, self.bank, index, self.queue.popleft())

    def run(self) -> None:
        while self.slots:
            rows = self._next_rows()
            batch = lay_out(rows, self.packed, self.base.pad_id, self.base.device)
            losses = self._pass(batch)
            self._record(batch)
            for slot in [s for s in self.slots if any(row.slot == s.index for row in rows)]:
                slot.add_loss(losses[slot.index])
                if not slot.rows:
                    slot.step()
                    self.report_progress()
                if slot.run.outcome is not None:
                    self._replace(slot)

    def _next_rows(self) -> list[Row]:
        """Rows for one pass: those of the slot that waited longest, then of others while the budget lasts.

        If rows are padded, those nearest in length join first.
        """
        order = sorted(self.slots, key=lambda s: (-s.passes_waited, s.index))
        first_length = len(order[0].rows[0].sequence.input_ids)
        if not self.packed:
            order[1:] = sorted(
                order[1:], key=lambda s: (abs(len(s.rows[0].sequence.input_ids) - first_length), s.index)
            )
        rows: list[Row] = []
        longest = tokens = 0
        prefixes: set[tuple[int, tuple[int, ...]]] = set()
        for slot in order:
            slot.passes_waited += 1
            if rows and not self.mixes_slots:
                continue
            while slot.rows:
                row = slot.rows[0]
                prefix = (row.slot, row.sequence.input_ids[: row.prefix])
                length = len(row.sequence.input_ids) - (row.prefix if prefix in prefixes else 0)
                computed = tokens + length if self.packed else max(longest, length) * (len(rows) + 1)
                if rows and computed > self.budget:
                    break
                longest, tokens = max(longest, length), tokens + length
                prefixes.add(prefix)
                rows.append(slot.rows.popleft())
                slot.passes_waited = 0
        return rows

    def _pass(self, batch: Batch) -> dict[int, float]:
        """Run forward and backward; gradients go into the bank. Returns each slot's share of its step's loss."""
        route = BankRoute(self.bank, batch.spans, batch.segments, self.checkpointing)
        with routed(route):
            nll_M = head_loss(self.base, batch)
        losses_K = torch.zeros(self.bank.slots, device=nll_M.device)
        losses_K.index_add_(0, batch.slots_M, nll_M * batch.weights_M)
        return dict(enumerate(losses_K.tolist()))

    def _record(self, batch: Batch) -> None:
        self.report.passes += 1
        self.report.real_tokens += batch.real_tokens
        self.report.computed_tokens += batch.tokens

    def _replace(self, slot: Slot) -> None:
        position = self.slots.index(slot)
        if self.queue:
            self.slots[position] = self._make_slot(slot.index)
        else:
            del self.slots[position]
