"""Runs passes: launch by launch, or as a replay where a pass of the same sizes was recorded before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from seal_agent.base_model.graphs import Recorder, Replay, recorded
from seal_agent.base_model.model import BaseModel
from seal_agent.lora.routing import routed
from seal_agent.training.bank.attention import MaskMissing
from seal_agent.training.loss import head_loss
from seal_agent.training.packing import Row
from seal_agent.training.stacked.device_plan import DevicePlan, Machinery, device_plan, host_bundle
from seal_agent.training.stacked.layout import HostPlan, Layouter
from seal_agent.training.stacked.sizes import PassSizes

MAX_RECORDED = 24  # passes of different sizes that are kept as graphs; not tuned


@dataclass(frozen=True, slots=True)
class _Recorded:
    plan: DevicePlan
    replay: Replay


class PassRunner:
    """Forward and backward of the passes of one pool; gradients go into the bank."""

    def __init__(
        self, base: BaseModel, machinery: Machinery, layouter: Layouter, recorder: Recorder | None, most_tokens: int
    ) -> None:
        """Without a `recorder`, and above `most_tokens`, a pass is launched anew, without padding."""
        self._most_tokens = most_tokens
        self._base, self._machinery, self._layouter, self._recorder = base, machinery, layouter, recorder
        self._seen: set[PassSizes] = set()
        self._recorded: dict[PassSizes, _Recorded] = {}
        self._losses_K = torch.zeros(machinery.bank.slots, device=base.device)
        self._static = True  # no pass so far kept tensors for the next

    @property
    def recordings(self) -> int:
        """Passes that can be replayed."""
        return len(self._recorded)

    def run(self, rows: Sequence[Row]) -> tuple[HostPlan, Tensor]:
        """Run a pass over rows in the order of their slots.

        Returns its plan and each slot's share of its step's loss, K, on the device until the next call.
        """
        tokens = sum(len(row.sequence.input_ids) for row in rows)
        recordable = self._recorder is not None and tokens <= self._most_tokens
        plan = self._layouter.lay_out(rows, rounded=recordable)
        bundle = host_bundle(plan, pinned=self._base.device.type == "cuda")
        known = self._recorded.pop(plan.sizes, None) if recordable else None
        if known is not None:
            self._recorded[plan.sizes] = known  # behind all others: the dictionary is in order of use
            device_plan(plan, bundle, self._machinery, self._base.device, into=known.plan.buffer)
            known.replay()
            return plan, self._losses_K
        on_device = device_plan(plan, bundle, self._machinery, self._base.device)
        if not recordable or plan.sizes not in self._seen or not self._record(on_device, plan.sizes):
            self._compute_with_mask_if_needed(on_device)
        self._seen.add(plan.sizes)
        return plan, self._losses_K

    def _record(self, plan: DevicePlan, sizes: PassSizes) -> bool:
        """Record a pass and run it. Returns False where it cannot be recorded: no later pass will be tried."""
        assert self._recorder is not None
        if self._machinery.mask_1111 is None or not self._static:
            self._recorder = None  # transformers' masks and batched products keep tensors from one pass to the next
            return False
        replay = recorded(self._recorder, lambda: self._compute(plan), "training")
        if replay is None:
            self._recorder = None
            self._recorded.clear()
            return False
        while len(self._recorded) >= MAX_RECORDED:
            self._recorded.pop(next(iter(self._recorded)))
        self._recorded[sizes] = _Recorded(plan, replay)
        replay()
        return True

    def _compute_with_mask_if_needed(self, plan: DevicePlan) -> None:
        try:
            self._compute(plan)
        except MaskMissing:
            self._machinery = replace(self._machinery, mask_1111=None)
            self._compute(replace(plan, batch=replace(plan.batch, mask_1111=None)))
        attention = plan.route.attention
        self._static &= attention is not None and not attention.refused

    def _compute(self, plan: DevicePlan) -> None:
        batch = plan.batch
        with routed(plan.route):
            nll_M = head_loss(self._base, batch)
        self._losses_K.zero_().index_add_(0, batch.slots_M, nll_M * batch.weights_M)
