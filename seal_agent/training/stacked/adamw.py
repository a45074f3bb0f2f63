"""AdamW and gradient clipping for all slots of a bank at once; every slot keeps its own schedule, decay and step.

The formulas are those of torch.optim.AdamW and torch.nn.utils.clip_grad_norm_. On a GPU one Triton kernel reads and
writes every number once; without Triton the same is done by tensor operations, chunk by chunk.

Dimensions: K slots, P parameters of a slot, S slots that take a step.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from seal_agent.training.bank.stacked_bank import StackedBank
from seal_agent.training.stacked.transfer import bundle_of, to_device

_log = logging.getLogger(__name__)

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8  # torch.optim.AdamW
CLIP_EPSILON = 1e-6  # torch.nn.utils.clip_grad_norm_
CHUNK_NUMBERS = 1 << 26  # of the scratch tensor without Triton: 256 MiB


@dataclass(frozen=True, slots=True)
class SlotUpdate:
    """The settings of one slot's step."""

    slot: int
    learning_rate: float
    weight_decay: float
    max_grad_norm: float


class StackedAdamW:
    """The optimiser of all slots of a bank."""

    def __init__(self, bank: StackedBank, fused: bool | None = None) -> None:
        """`fused` asks for Triton's kernel; None: where there is a GPU and Triton."""
        self._bank = bank
        self._moments = torch.zeros_like(bank.weights_KP), torch.zeros_like(bank.weights_KP)
        self._steps = [0] * bank.slots
        self._fused = _has_triton(bank.weights_KP.device) if fused is None else fused

    def reset(self, slot: int) -> None:
        """Forget what the slot's last adapter left."""
        for moment_KP in self._moments:
            moment_KP[slot].zero_()
        self._steps[slot] = 0

    @torch.no_grad()
    def step(self, updates: Sequence[SlotUpdate]) -> None:
        """Clip, update the weights, set the gradients to zero, and refresh the copy in compute precision."""
        rows = []
        for update in updates:
            self._steps[update.slot] += 1
            step = self._steps[update.slot]
            rate, decay = update.learning_rate, 1 - update.learning_rate * update.weight_decay
            rows.append((rate / (1 - BETA1**step), decay, (1 - BETA2**step) ** 0.5, update.max_grad_norm))
        slots_S = torch.tensor([update.slot for update in updates])
        device = self._bank.weights_KP.device
        bundle = bundle_of([slots_S, torch.tensor(rows, dtype=torch.float32)], pinned=device.type == "cuda")
        slots_S, settings_S4 = to_device(bundle, device).tensors
        norm_K = torch.linalg.vector_norm(self._bank.grads_KP, dim=1)
        if self._fused:
            self._step_fused(slots_S, settings_S4, norm_K)
        else:
            self._step_by_tensors(slots_S, settings_S4, norm_K)
        self._bank.note_zeroed([update.slot for update in updates])

    def _step_fused(self, slots_S: Tensor, settings_S4: Tensor, norm_K: Tensor) -> None:
        from seal_agent.training.stacked.adamw_kernel import launch

        bank, constants = self._bank, (BETA1, BETA2, EPSILON, CLIP_EPSILON)
        stacks = (bank.weights_KP, bank.grads_KP, *self._moments, bank.compute_KP)
        try:
            launch(*stacks, slots_S, settings_S4, norm_K, constants)
        except Exception as err:  # a compiler that is missing or broken may raise anything
            if isinstance(err, torch.OutOfMemoryError):
                raise
            _log.warning("Triton's optimiser kernel fails (%s): tensor operations are used", str(err).split("\n")[0])
            self._fused = False
            self._step_by_tensors(slots_S, settings_S4, norm_K)

    def _step_by_tensors(self, slots_S: Tensor, settings_S4: Tensor, norm_K: Tensor) -> None:
        bank = self._bank
        settings_4K1 = _spread(slots_S, settings_S4, bank.slots)
        rate_K1, decay_K1, root_K1, max_norm_K1 = settings_4K1
        active_K1 = torch.zeros(bank.slots, 1, dtype=torch.bool, device=slots_S.device).index_fill_(0, slots_S, True)
        clip_K1 = (max_norm_K1 / (norm_K[:, None] + CLIP_EPSILON)).clamp(max=1)
        width = max(1, CHUNK_NUMBERS // bank.slots)
        for start in range(0, bank.parameters, width):
            w, g, m, v = (x[:, start : start + width] for x in (bank.weights_KP, bank.grads_KP, *self._moments))
            clipped = g * clip_K1
            m.lerp_(clipped, active_K1.float() * (1 - BETA1))
            v.mul_(torch.where(active_K1, BETA2, 1.0)).addcmul_(clipped, clipped * active_K1, value=1 - BETA2)
            denominator = torch.sqrt(v, out=clipped).div_(root_K1).add_(EPSILON)
            w.mul_(decay_K1).sub_(torch.div(m, denominator, out=denominator).mul_(rate_K1))
            g.masked_fill_(active_K1, 0)
            if bank.compute_KP is not bank.weights_KP:
                bank.compute_KP[:, start : start + width].copy_(w)


def _spread(slots_S: Tensor, settings_S4: Tensor, slots: int) -> Tensor:
    """The settings of all slots, 4×K×1; of those that take no step, ones that change nothing."""
    nothing = torch.tensor([0.0, 1.0, 1.0, 1.0], device=slots_S.device)
    return nothing.repeat(slots, 1).index_copy_(0, slots_S, settings_S4).T[:, :, None]


def _has_triton(device: torch.device) -> bool:
    if device.type != "cuda":
        return False
    try:
        import triton  # noqa: F401
    except ImportError:
        _log.warning("Triton is not installed: the optimiser runs as tensor operations")
        return False
    return True
