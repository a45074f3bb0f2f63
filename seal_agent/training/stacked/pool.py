"""The pool of a GPU: one pass and one optimiser step for all slots, while the host lays out the next.

The loss of a step is looked at one pass later. A slot whose loss is not finite has then been updated once more; it is
given up, and no other slot has read anything of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from seal_agent.base_model.graphs import Recorder, on_device, recorder_for
from seal_agent.base_model.model import BaseModel
from seal_agent.lora.text_layers import text_layers
from seal_agent.training.activations import activation_bytes
from seal_agent.training.bank.products import Products, choose_products
from seal_agent.training.bank.stacked_bank import StackedBank
from seal_agent.training.bank.varlen import Kernel, choose_kernel
from seal_agent.training.job_run import JobRun
from seal_agent.training.memory import available_bytes
from seal_agent.training.pool import Pool, Slot, diverged
from seal_agent.training.probes import reads_no_mask, supports_packing
from seal_agent.training.stacked.adamw import SlotUpdate, StackedAdamW
from seal_agent.training.stacked.device_plan import Machinery
from seal_agent.training.stacked.layout import Layouter
from seal_agent.training.stacked.losses import LossReading, StepLoss
from seal_agent.training.stacked.runner import PassRunner
from seal_agent.training.stacked.starts import PackedStart, Starts

RECORDED_SHARE = 0.1  # of the free memory, that the activations of a recorded pass may take; not tuned
MAX_RECORDED_TOKENS = 4096  # of models whose config does not tell what a token takes


class StackedSlot(Slot):
    """A slot whose weights the pool updates together with those of other slots."""

    bank: StackedBank

    def __init__(
        self, base: BaseModel, bank: StackedBank, index: int, run: JobRun, start: PackedStart, optimizer: StackedAdamW
    ) -> None:
        self._readings: list[LossReading] = []
        self._start = start
        super().__init__(base, bank, index, run)
        optimizer.reset(index)

    def _load(self) -> None:
        self.bank.load_packed(self.index, self._start.adapter, self._start.flat, self.run.job.config.dropout)
        del self._start

    def add_reading(self, reading: LossReading) -> None:
        """The losses of a pass that computed rows of this slot."""
        self._readings.append(reading)

    def update(self) -> SlotUpdate:
        """The settings of the present step."""
        config = self.run.job.config
        return SlotUpdate(self.index, self.learning_rate, config.weight_decay, config.max_grad_norm)

    def advance(self) -> StepLoss:
        """After an update: go on to the next step, or finish. Returns the loss of the step."""
        loss, self._readings = StepLoss(self.index, tuple(self._readings)), []
        if self.constrain():
            self.bank.refresh(self.index)
        if self.run.finish_step(loss, self._tokens):
            if math.isfinite(float(loss)):
                self._finish()
        else:
            self._begin_step()
        return loss


class StackedPool(Pool):
    """Like Pool, for models whose sequences can be packed and whose slots can be mixed in a pass."""

    bank: StackedBank

    def _prepare(self, runs: Sequence[JobRun]) -> None:
        assert self.packed, "see `is_stackable`"
        base = self.base
        products = self._products()
        mask = torch.ones(1, 1, 1, 1, dtype=torch.bool, device=base.device) if reads_no_mask(base) else None
        machinery = Machinery(self.bank, products, self._kernel(), self.checkpointing, mask)
        layouter = Layouter(base.pad_id, self.bank.scales, products.needs_padding)
        dropout = any(run.job.config.dropout for run in runs)  # drawn span by span, from seeds that a graph would keep
        irregular = dropout or self.checkpointing or products.needs_padding or machinery.kernel is None
        static = self.graphs and not irregular
        self.runner = PassRunner(
            base, machinery, layouter, self._recorder() if static else None, _recordable_tokens(base)
        )
        self._layouter = layouter
        self._unsettled: list[tuple[StackedSlot, JobRun, int, StepLoss]] = []

    def _make_slots(self, runs: Sequence[JobRun], slots: int, rank: int) -> None:
        base = self.base
        self.bank = StackedBank(base.module, runs[0].targets, slots, rank, base.device, base.dtype)
        self.optimizer = StackedAdamW(self.bank)
        self._starts = Starts(base, self.queue)
        self.slots = [self._make_slot(k) for k in range(slots)]

    def _make_slot(self, index: int) -> StackedSlot:
        run = self.queue.popleft()
        return StackedSlot(self.base, self.bank, index, run, self._starts.take(run), self.optimizer)

    def _products(self) -> Products:
        bank = self.bank
        return choose_products(bank.slots, bank.rank, bank.widths, self.base.device, bank.compute_dtype)

    def _kernel(self) -> Kernel | None:
        return choose_kernel(self.base.device, self.base.dtype)

    def _recorder(self) -> Recorder | None:
        return recorder_for(self.base.device)

    def run(self) -> None:
        try:
            with on_device(self.base.device):
                self._run()
        finally:
            self._starts.close()

    def _run(self) -> None:
        while self.slots:
            rows = sorted(self._next_rows(), key=lambda row: row.slot)
            plan, losses_K = self.runner.run(rows)
            reading = LossReading(losses_K)
            self.report.passes += 1
            self.report.real_tokens += plan.real_tokens
            self.report.computed_tokens += len(plan.ids_N)
            reached = {row.slot for row in rows}
            touched = [slot for slot in self.slots if slot.index in reached]
            self._step([slot for slot in touched if isinstance(slot, StackedSlot)], reading)

    def _step(self, touched: Sequence[StackedSlot], reading: LossReading) -> None:
        for slot in touched:
            slot.add_reading(reading)
        complete = [slot for slot in touched if not slot.rows]
        if complete:
            self.optimizer.step([slot.update() for slot in complete])
        self._settle()
        for slot in complete:
            if slot.run.outcome is None:
                step = slot.run.step + 1
                self._unsettled.append((slot, slot.run, step, slot.advance()))
                self.report_progress()
        if any(not slot.run.outcome and slot.run.step == slot.run.total_steps for slot in complete):
            self._settle()
        for done in [slot for slot in self.slots if slot.run.outcome is not None]:
            self._layouter.forget(done.run.sequences)
            self._replace(done)

    def _settle(self) -> None:
        """Look at the losses of the steps before; the device has gone on meanwhile."""
        for _, run, step, loss in self._unsettled:
            if run.outcome is None and not math.isfinite(float(loss)):
                run.outcome = diverged(run, float(loss), step)
        self._unsettled.clear()


def _recordable_tokens(base: BaseModel) -> int:
    """Tokens of a pass up to which it is recorded: a recording holds its activations, and large passes gain little."""
    each = activation_bytes(base)
    return int(RECORDED_SHARE * available_bytes(base.device) / each) if each else MAX_RECORDED_TOKENS


def is_stackable(base: BaseModel, targets: Sequence[str]) -> bool:
    """Whether `StackedPool` trains these layers: sequences may be packed, and each layer knows whose tokens it sees."""
    by_token = text_layers(base.module).by_token
    return supports_packing(base) and all(name in by_token for name in targets)
