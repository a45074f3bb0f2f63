"""Finds the layers that an adapter changes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from torch import nn

from seal_agent.base_model.sight import sight_of
from seal_agent.errors import InputError
from seal_agent.lora.peft_support import names_peft_misses
from seal_agent.lora.seeing import vision_layers
from seal_agent.lora.text_layers import linear_shape, text_layers

# Last parts of names under which architectures store the projections to query and value, alone or fused with the key.
_QUERY_VALUE = re.compile(
    r"(q|v|query|value)(_proj|_lin)?|W[qv]|c_[qv]|(q|kv)_b_proj|kv_proj|"
    r"qkv(_proj)?|query_key_value|c_attn|[Ww]qkv|W_pack|att_proj|in_proj_qkvz?"
)
_STATE_INPUT = re.compile("in_proj")  # of a state-space layer: what it reads, as query and value are in attention


def find_targets(model: nn.Module, targets: Sequence[str]) -> tuple[str, ...]:
    """Full names of the linear layers that `targets` select, in the model's order.

    Only layers that text runs through are selected, and none of the output head. "all" is every one of them but those
    that PEFT cannot hold. "default" is PEFT's default for the architecture; where PEFT has none, the projections to
    query and value, or those into a state-space layer. "vision" is every layer that pictures run through, "all+vision"
    both.
    Anything else is a part of a module name between dots: "q_proj", "mlp",
    "layers.3", "layers.3.mlp.up_proj". Raises InputError for a target that matches nothing.
    """
    layers = text_layers(model)
    linear = [n for n in layers.names if n not in layers.in_head and not _is_output(model, model.get_submodule(n))]
    selected: set[str] = set()
    for target in "+".join(targets).split("+"):
        if target in ("all", "default", "vision"):
            matches = _wholes(model, target, linear)
            missed = names_peft_misses(model, matches)
            matches = [name for name in matches if name not in missed]
        else:
            matches = _named(target, linear)
        if not matches:
            raise InputError(_matches_nothing(model, target, linear))
        selected.update(matches)
    return tuple(name for name, _ in model.named_modules() if name in selected)


def _wholes(model: nn.Module, target: str, linear: Sequence[str]) -> Sequence[str]:
    """The layers of a side of the model."""
    if target == "vision":
        if sight_of(model) is None:
            raise InputError("targets names 'vision', but this model does not see; leave it out")
        return vision_layers(model)
    return _peft_defaults(model, linear) if target == "default" else linear


def _named(part: str, names: Sequence[str]) -> list[str]:
    return [name for name in names if f".{part}." in f".{name}."]


def _peft_defaults(model: nn.Module, linear: Sequence[str]) -> list[str]:
    """What "default" selects."""
    from peft.utils import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as by_type

    config: Any = model.config
    for part in (config, config.get_text_config()):
        parts = by_type.get(getattr(part, "model_type", ""), ())
        if isinstance(parts, str):  # a regular expression over whole names
            matches = [name for name in linear if re.fullmatch(parts, name)]
        else:
            matches = [name for name in linear if any(f".{part}." in f".{name}." for part in parts)]
        if matches:
            return matches
    for last_part in (_QUERY_VALUE, _STATE_INPUT):
        if matches := [name for name in linear if last_part.fullmatch(name.rpartition(".")[2])]:
            return matches
    return []


def _matches_nothing(model: nn.Module, target: str, linear: Sequence[str]) -> str:
    available = ", ".join(sorted({name.rpartition(".")[2] for name in linear}))
    every = [name for name, layer in model.named_modules() if linear_shape(layer)]
    if _named(target, list(text_layers(model).in_head)):
        return f"targets names {target!r}, which belongs to the output head; this model's other layers are {available}"
    if _named(target, every):
        return f"targets names {target!r}, which text does not run through; this model's linear layers are {available}"
    return f"targets names {target!r}, but this model's linear layers are {available} (or default, all, layers.0)"


def _is_output(model: nn.Module, layer: nn.Module) -> bool:
    return layer is model.get_output_embeddings()  # type: ignore[operator]
