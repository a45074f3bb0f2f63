"""A bound on how far an adapter may move a layer: its update against the layer's own weights, by Frobenius norm.

The norm of scale · A B is taken from the R×R products of its factors, so that the D×O update is never formed.
"""

from __future__ import annotations

import torch
from torch import nn

from seal_agent.errors import InputError
from seal_agent.training.bank.storage import LoraBank


class NormLimit:
    """Scales B back, after a step, in every layer where the update has become larger than `share` of the weights."""

    def __init__(self, model: nn.Module, bank: LoraBank, names: tuple[str, ...], share: float) -> None:
        self._bank, self._most = bank, {}
        for name in names:
            weight = model.get_submodule(name).get_parameter("weight")
            if not weight.is_floating_point():
                raise InputError(f"max_update needs plain weights, but {name} is quantised; leave max_update out")
            self._most[name] = share * weight.detach().float().norm()

    @torch.no_grad()
    def apply(self, slot: int) -> None:
        """Bring the slot's updates back to their bounds."""
        scale = self._bank.scales[slot]
        for name, most in self._most.items():
            a_DR, b_RO = self._bank.factors(slot, name)
            norm = scale * ((a_DR.T @ a_DR) * (b_RO @ b_RO.T)).sum().clamp(min=0).sqrt()
            b_RO *= (most / norm.clamp(min=torch.finfo(torch.float32).tiny)).clamp(max=1)
