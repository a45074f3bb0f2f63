"""Limits how far an adapter may move a layer: the Frobenius norm of its update against that of the layer's weights.

The norm of scale · A B is computed from the R×R products of its factors, so that the D×O update is never formed.
"""

from __future__ import annotations

import torch
from torch import nn

from seal_agent.errors import InputError
from seal_agent.training.bank.storage import LoraBank


class NormLimit:
    """Scales B back after a step in every layer whose update exceeds `share` of the norm of the weights."""

    def __init__(self, model: nn.Module, bank: LoraBank, names: tuple[str, ...], share: float) -> None:
        """Raises InputError if a layer is quantised."""
        self._bank, self._max_norms = bank, {}
        for name in names:
            weight = model.get_submodule(name).get_parameter("weight")
            if not weight.is_floating_point():
                raise InputError(f"max_update needs plain weights, but {name} is quantised; leave max_update out")
            self._max_norms[name] = share * weight.detach().float().norm()

    @torch.no_grad()
    def apply(self, slot: int) -> None:
        """Scale the slot's updates back to their limits."""
        scale = self._bank.scales[slot]
        for name, max_norm in self._max_norms.items():
            a_DR, b_RO = self._bank.factors(slot, name)
            norm = scale * ((a_DR.T @ a_DR) * (b_RO @ b_RO.T)).sum().clamp(min=0).sqrt()
            b_RO *= (max_norm / norm.clamp(min=torch.finfo(torch.float32).tiny)).clamp(max=1)
