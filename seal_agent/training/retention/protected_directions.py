"""Keeping an adapter deaf to ordinary text: A may not read the directions in which a layer's inputs usually lie.

A LoRA update changes an output by scale · (x A) B. Where A is orthogonal to the strongest directions of ordinary
inputs, x A is nearly zero for ordinary text whatever B learns, and what the base says there stays. The directions are
the eigenvectors of the inputs' second moments with the largest eigenvalues. For editing facts this is AlphaEdit (Fang
et al., 2024, arXiv 2410.02355), for LoRA LoRA-Null (Tang et al., 2025, arXiv 2503.02659); here A is trained, and what
it gained in those directions is taken out every few steps and at the end.

Dimensions: D inputs of a layer, R rank, S protected directions, T tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from seal_agent.base_model.model import BaseModel
from seal_agent.training.bank.storage import LoraBank


@dataclass(frozen=True, slots=True)
class Spectrum:
    """What a layer's inputs are like: orthonormal directions, strongest first, and their mean squares per token."""

    directions_DD: Tensor
    energy_D: Tensor

    def first_behind(self, share: float) -> int:
        """The number of the first direction that does not belong to this share of them."""
        return round(share * len(self.energy_D))


Directions = Mapping[str, Spectrum]
"""Of ordinary text, for each layer by name; layers that read the same inputs have the same object."""


@torch.no_grad()
def principal_directions(base: BaseModel, names: Sequence[str], texts: Iterable[Sequence[int]]) -> dict[str, Spectrum]:
    """The directions of each layer's inputs over texts, given as token ids; layers with the same input share them."""
    moments: dict[str, Tensor] = {}
    tokens = 0
    same: dict[str, str] = {}
    seen: dict[int, tuple[str, Tensor]] = {}  # the tensor is kept, so that no other takes its id

    def watch(name: str) -> RemovableHandle:
        def look(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            first = seen.setdefault(id(inputs[0]), (name, inputs[0]))[0]
            same[name] = first
            if first == name:
                x_TD = inputs[0].reshape(-1, inputs[0].shape[-1]).float()
                moments[name] = moments[name] + x_TD.T @ x_TD if name in moments else x_TD.T @ x_TD

        layer: nn.Module = base.module.get_submodule(name)
        return layer.register_forward_pre_hook(look)

    hooks = [watch(name) for name in names]
    try:
        for ids in texts:
            seen.clear()
            tokens += len(ids)
            base.module(torch.tensor([list(ids)], device=base.device))
    finally:
        for hook in hooks:
            hook.remove()
    found = {name: _spectrum(moment / tokens) for name, moment in moments.items()}
    return {name: found[same[name]] for name in names}


def _spectrum(moment_DD: Tensor) -> Spectrum:
    values_D, vectors_DD = torch.linalg.eigh(moment_DD)
    return Spectrum(vectors_DD.flip(1), values_D.flip(0).clamp(min=0))


class ProtectedDirections:
    """Holds what a slot's A learns orthogonal to the strongest `share` of its layers' directions.

    A new adapter's A is put there as it begins. Of one that is continued, what it read before stays as it was.
    """

    def __init__(
        self, bank: LoraBank, slot: int, names: Sequence[str], directions: Directions, share: float, new: bool
    ) -> None:
        self._bank, self._slot = bank, slot
        self._strong = {name: (of := directions[name]).directions_DD[:, : of.first_behind(share)] for name in names}
        if new:
            self._take_out({name: torch.zeros_like(bank.factors(slot, name)[0]) for name in names}, torch.float32)
            bank.refresh(slot)
        self._begun = {name: bank.factors(slot, name)[0].clone() for name in names}

    def apply(self) -> None:
        """Take out of what was added to A whatever reads a protected direction."""
        self._take_out(self._begun, self._bank.compute_dtype)

    @torch.no_grad()
    def _take_out(self, since: Mapping[str, Tensor], dtype: torch.dtype) -> None:
        for name, strong_DS in self._strong.items():
            a_DR, _ = self._bank.factors(self._slot, name)
            read_SR = strong_DS.to(dtype).T @ (a_DR - since[name]).to(dtype)
            a_DR -= (strong_DS.to(dtype) @ read_SR).float()
