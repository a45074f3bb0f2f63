"""Finds the layers that an adapter changes."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from seal_agent.errors import InputError


def linear_shape(layer: nn.Module) -> tuple[int, int] | None:
    """(inputs, outputs) of a linear projection, transformers' transposed Conv1D included; else None."""
    if isinstance(layer, nn.Linear):
        return layer.in_features, layer.out_features
    if type(layer).__name__ == "Conv1D":
        inputs, outputs = layer.get_parameter("weight").shape
        return int(inputs), int(outputs)
    return None


def find_targets(model: nn.Module, targets: Sequence[str]) -> tuple[str, ...]:
    """Full names of the linear layers that `targets` select, in the model's order.

    "default" selects PEFT's defaults for the architecture, "all" every linear layer but the output layer. Anything else
    is a part of a module name between dots: "q_proj", "mlp", "layers.3", "layers.3.mlp.up_proj". Raises InputError for
    a target that matches nothing.
    """
    linear = [name for name, layer in model.named_modules() if linear_shape(layer) and not _is_output(model, layer)]
    selected: set[str] = set()
    for target in targets:
        parts = _default_targets(model) if target == "default" else (target,)
        matches = [name for name in linear if target == "all" or any(f".{part}." in f".{name}." for part in parts)]
        if target == "default" and not matches:
            matches = linear
        if not matches:
            available = ", ".join(sorted({name.rpartition(".")[2] for name in linear}))
            raise InputError(
                f"targets names {target!r}, but this model's linear layers are {available} (or default, all, layers.0)"
            )
        selected.update(matches)
    return tuple(name for name in linear if name in selected)


def _default_targets(model: nn.Module) -> tuple[str, ...]:
    from peft.utils import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as by_type

    return tuple(by_type.get(getattr(model.config, "model_type", ""), ()))


def _is_output(model: nn.Module, layer: nn.Module) -> bool:
    return layer is model.get_output_embeddings()  # type: ignore[operator]
