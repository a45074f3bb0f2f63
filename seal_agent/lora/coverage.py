"""What of a model an adapter of all its layers leaves as it is, in a sentence."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence

from torch import nn

from seal_agent.errors import PartlyTrainedWarning
from seal_agent.lora.targets import find_targets
from seal_agent.lora.text_layers import text_layers

_WORTH_SAYING = 0.01  # share of a model's weights


def has_experts(model: nn.Module) -> bool:
    """Whether parts of the model see only some tokens: told by names and shapes, without running it."""
    return any("expert" in name or _is_stacked(model, name) for name, _ in model.named_parameters())


def say_what_is_left_out(name: str, model: nn.Module) -> None:
    """A PartlyTrainedWarning, once per model, if there is something to say."""
    if not getattr(model, "_seal_said_what_is_left_out", False):
        model._seal_said_what_is_left_out = True  # type: ignore[assignment]
        if sentence := left_out(model):
            warnings.warn(f"{name}: {sentence}", PartlyTrainedWarning, stacklevel=3)


def left_out(model: nn.Module) -> str | None:
    """Which large parts of a model no adapter trains, and what is trained; None if there are none.

    Experts that are held as one 3-D parameter are no linear layers, and PEFT holds some linear layers beside them for
    parts of those.
    """
    total = sum(weight.numel() for weight in model.parameters())
    stacked = {name: weight.numel() for name, weight in model.named_parameters() if _is_stacked(model, name)}
    parts = []
    if sum(stacked.values()) >= _WORTH_SAYING * total:
        share = sum(stacked.values()) / total
        parts.append(f"{_kinds(list(stacked))}, 3-D parameters with {share:.0%} of the weights")
    trained = find_targets(model, ("all",))
    output, layers = model.get_output_embeddings(), text_layers(model)  # type: ignore[operator]
    left = [name for name in layers.names if name not in trained and name not in layers.in_head]
    missed = [name for name in left if model.get_submodule(name) is not output]
    if missed:
        parts.append(f"{_kinds(missed)}, which PEFT cannot hold")
    if not parts:
        return None
    leaves = ", ".join(sorted({name.rpartition(".")[2] for name in trained}))
    return f"adapters of all layers train {leaves}; they leave out {' and '.join(parts)}"


def _is_stacked(model: nn.Module, name: str) -> bool:
    """Whether a parameter is a stack of matrices, and no convolution's."""
    owner = model.get_submodule(name.rpartition(".")[0])
    return model.get_parameter(name).dim() == 3 and not re.search("conv", type(owner).__name__, re.IGNORECASE)


def _kinds(names: Sequence[str]) -> str:
    """The names with their numbers left out, each once."""
    return ", ".join(dict.fromkeys(re.sub(r"\b\d+\b", "*", name) for name in names))
