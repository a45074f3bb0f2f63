"""Protected directions: A may not read the directions that a layer's inputs take most on reference text.

A LoRA update changes an output by scale · (x A) B. If A is orthogonal to the strongest directions of the inputs on
reference text, x A is nearly zero for such text whatever B learns, and the base model's behaviour there stays. The
directions are the eigenvectors of the inputs' second moments with the largest eigenvalues. For editing facts this is
AlphaEdit (Fang et al., 2024, arXiv 2410.02355), for LoRA it is LoRA-Null (Tang et al., 2025, arXiv 2503.02659). Here A
is trained, and what it gains in those directions is removed every few steps and at the end.

Dimensions: D inputs of a layer, R rank, S protected directions, T tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from seal_agent.base_model.model import BaseModel
from seal_agent.lora.text_layers import linear_shape
from seal_agent.training.bank.storage import LoraBank


@dataclass(frozen=True, slots=True)
class Spectrum:
    """Directions of a layer's inputs: orthonormal columns, strongest first, and their mean squares per token."""

    directions_DD: Tensor
    energy_D: Tensor

    def protected_count(self, share: float) -> int:
        """How many directions this share of them is."""
        return round(share * len(self.energy_D))


Directions = Mapping[str, Spectrum]
"""The spectrum of each layer on reference text, by the layer's name; layers with the same input share one object."""


@torch.no_grad()
def principal_directions(base: BaseModel, names: Sequence[str], texts: Iterable[Sequence[int]]) -> dict[str, Spectrum]:
    """The spectrum of each layer's inputs over texts, given as token ids; layers with the same input share one."""
    moments: dict[str, Tensor] = {}
    tokens = 0
    shared_with: dict[str, str] = {}  # the first layer that reads the same input
    inputs_seen: dict[int, tuple[str, Tensor]] = {}  # holds the tensor, so that no other takes its id

    def add_hook(name: str) -> RemovableHandle:
        def accumulate(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            if not inputs[0].numel():
                return
            first = inputs_seen.setdefault(id(inputs[0]), (name, inputs[0]))[0]
            shared_with[name] = first
            if first == name:
                x_TD = inputs[0].reshape(-1, inputs[0].shape[-1]).float()
                moments[name] = moments[name] + x_TD.T @ x_TD if name in moments else x_TD.T @ x_TD

        layer: nn.Module = base.module.get_submodule(name)
        return layer.register_forward_pre_hook(accumulate)

    hooks = [add_hook(name) for name in names]
    try:
        for ids in texts:
            inputs_seen.clear()
            tokens += len(ids)
            base.module(torch.tensor([list(ids)], device=base.device))
    finally:
        for hook in hooks:
            hook.remove()
    spectra = {name: _spectrum(moment / tokens) for name, moment in moments.items()}
    return {name: spectra[shared_with[name]] if name in shared_with else _unknown(base, name) for name in names}


def _unknown(base: BaseModel, name: str) -> Spectrum:
    """No directions: of a layer that none of the texts reached, such as an expert, nothing is protected."""
    shape = linear_shape(base.module.get_submodule(name))
    assert shape is not None, name
    return Spectrum(torch.zeros(shape[0], 0), torch.zeros(0))


def _spectrum(moment_DD: Tensor) -> Spectrum:
    values_D, vectors_DD = torch.linalg.eigh(moment_DD)
    return Spectrum(vectors_DD.flip(1), values_D.flip(0).clamp(min=0))


class ProtectedDirections:
    """Keeps what a slot's A learns orthogonal to the strongest `share` of its layers' directions.

    A new adapter's A is projected before training. In a continued adapter, what A read before stays.
    """

    def __init__(
        self, bank: LoraBank, slot: int, names: Sequence[str], directions: Directions, share: float, new: bool
    ) -> None:
        self._bank, self._slot = bank, slot
        self._protected = {
            name: (spectrum := directions[name]).directions_DD[:, : spectrum.protected_count(share)] for name in names
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
