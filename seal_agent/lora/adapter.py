"""LoRA adapters as values, and how a fresh one is initialised.

Dimensions: D inputs, O outputs, R rank.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from seal_agent.lora.text_layers import linear_shape


@dataclass(frozen=True, slots=True)
class LoraPair:
    """The two factors of one layer's update: y += scale · (x A) B."""

    a_DR: Tensor
    b_RO: Tensor


@dataclass(frozen=True, slots=True, weakref_slot=True)
class LoraAdapter:
    """One adapter in float32 on the CPU: a pair per target layer, by the layer's full name."""

    rank: int
    alpha: float
    pairs: Mapping[str, LoraPair]
    transposed: bool = False  # the base stores its projections as inputs × outputs (GPT-2's Conv1D)

    @property
    def scale(self) -> float:
        return self.alpha / self.rank

    @property
    def parameters(self) -> int:
        return sum(pair.a_DR.numel() + pair.b_RO.numel() for pair in self.pairs.values())


def new_adapter(model: nn.Module, targets: Sequence[str], rank: int, alpha: float, seed: int) -> LoraAdapter:
    """A fresh adapter that changes nothing yet: B is zero, A is drawn as PEFT draws it.

    PEFT fills A by kaiming_uniform with a = √5, which is uniform on ±1/√D. `targets` are full names of layers.
    """
    generator = torch.Generator().manual_seed(seed)
    pairs = {}
    for name in targets:
        shape = linear_shape(model.get_submodule(name))
        assert shape is not None, name
        inputs, outputs = shape
        a_DR = (torch.rand(inputs, rank, generator=generator) * 2 - 1) / math.sqrt(inputs)
        pairs[name] = LoraPair(a_DR, torch.zeros(rank, outputs))
    return LoraAdapter(rank, alpha, pairs, _stores_transposed(model, targets))


def _stores_transposed(model: nn.Module, targets: Sequence[str]) -> bool:
    return any(not isinstance(model.get_submodule(name), nn.Linear) for name in targets)
