"""LoRA adapters as values: what they are, which layers they touch, how a fresh one is drawn.

Dimensions: D inputs, O outputs, R rank.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from seal_agent.errors import InputError


@dataclass(frozen=True, slots=True)
class LoraPair:
    """The two factors of one layer's update: y += scale · (x A) B."""

    a_DR: Tensor
    b_RO: Tensor


@dataclass(frozen=True, slots=True, weakref_slot=True)
class LoraAdapter:
    """One adapter in float32 on the CPU: a pair per target module, by the module's full name."""

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


# ---------------------------------------------------------------- targets and shapes


def linear_shape(layer: nn.Module) -> tuple[int, int] | None:
    """(inputs, outputs) of a linear projection, transformers' transposed Conv1D included; else None."""
    if isinstance(layer, nn.Linear):
        return layer.in_features, layer.out_features
    if type(layer).__name__ == "Conv1D":
        inputs, outputs = layer.get_parameter("weight").shape
        return int(inputs), int(outputs)
    return None


def find_targets(model: nn.Module, targets: Sequence[str]) -> tuple[str, ...]:
    """Full names of the linear layers that `targets` mean, in the model's order.

    "default" is PEFT's own choice for the architecture, "all" every linear layer but the output layer; anything else is
    a part of a module name between dots: "q_proj", "mlp", "layers.3", "layers.3.mlp.up_proj". Raises InputError for a
    name that matches nothing.
    """
    linear = [name for name, layer in model.named_modules() if linear_shape(layer) and not _is_output(model, layer)]
    wanted: set[str] = set()
    for target in targets:
        names = _default_targets(model) if target == "default" else (target,)
        found = [n for n in linear if target == "all" or any(f".{name}." in f".{n}." for name in names)]
        if target == "default" and not found:
            found = linear
        if not found:
            known = ", ".join(sorted({n.rpartition(".")[2] for n in linear}))
            raise InputError(
                f"targets names {target!r}, but this model's linear layers are {known} (or default, all, layers.0)"
            )
        wanted.update(found)
    return tuple(name for name in linear if name in wanted)


def _default_targets(model: nn.Module) -> tuple[str, ...]:
    from peft.utils import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as by_type

    return tuple(by_type.get(getattr(model.config, "model_type", ""), ()))


def _is_output(model: nn.Module, layer: nn.Module) -> bool:
    return layer is model.get_output_embeddings()  # type: ignore[operator]


# ---------------------------------------------------------------- making adapters


def new_adapter(model: nn.Module, targets: Sequence[str], rank: int, alpha: float, seed: int) -> LoraAdapter:
    """A fresh adapter that changes nothing yet: A uniform as PEFT draws it, B zero.

    PEFT fills A by kaiming_uniform with a = √5, which is uniform on ±1/√D.
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
