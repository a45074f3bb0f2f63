"""Protected directions: A may not read the directions that a layer's inputs take most on reference text.

A LoRA update changes an output by scale · (x A) B. If A is orthogonal to the strongest directions of the inputs on
reference text, x A is nearly zero for such text whatever B learns, and the base model's behaviour there stays. The
directions are those of spectra.py with the most energy. For editing facts this is
AlphaEdit (Fang et al., 2024, arXiv 2410.02355), for LoRA it is LoRA-Null (Tang et al., 2025, arXiv 2503.02659). Here A
is trained, and what it gains in those directions is removed every few steps and at the end.

Dimensions: D inputs of a layer, R rank, S protected directions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from seal_agent.training.bank.storage import LoraBank
from seal_agent.training.retention.spectra import Directions


class ProtectedDirections:
    """Keeps what a slot's A learns orthogonal to the strongest `share` of its layers' directions.

    A new adapter's A is projected before training. In a continued adapter, what A read before stays. Layers without
    directions, which older adapters may have in the output head, are left as they are.
    """

    def __init__(
        self, bank: LoraBank, slot: int, names: Sequence[str], directions: Directions, share: float, new: bool
    ) -> None:
        self._bank, self._slot = bank, slot
        names = [name for name in names if name in directions]
        self._protected = {
            name: (spectrum := directions[name]).directions_DK[:, : spectrum.protected_count(share)] for name in names
        }
        if new:
            zeros = {name: torch.zeros_like(bank.factors(slot, name)[0]) for name in names}
            self._project(zeros, torch.float32)
            bank.refresh(slot)
        self._start = {name: bank.factors(slot, name)[0].clone() for name in names}

    def apply(self) -> None:
        """Remove from what A has learnt the part that reads a protected direction."""
        self._project(self._start, self._bank.compute_dtype)

    @torch.no_grad()
    def _project(self, start: Mapping[str, Tensor], dtype: torch.dtype) -> None:
        for name, protected_DS in self._protected.items():
            a_DR, _ = self._bank.factors(self._slot, name)
            read_SR = protected_DS.to(dtype).T @ (a_DR - start[name]).to(dtype)
            a_DR -= (protected_DS.to(dtype) @ read_SR).float()
