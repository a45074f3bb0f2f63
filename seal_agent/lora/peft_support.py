"""What PEFT can hold of a model, found by letting it adapt a copy of the model that shares its weights.

PEFT translates some layer names: those of experts that transformers stores as one parameter, and with them others of
the same name, such as the projections of a shared expert. Some it refuses. An adapter of such a layer could be used
here, but not exported.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from seal_agent.lora.peft_names import A_SUFFIX, B_SUFFIX, PREFIX
from seal_agent.lora.text_layers import linear_shape


def names_peft_misses(model: nn.Module, names: Sequence[str]) -> frozenset[str]:
    """Those of these linear layers that PEFT cannot adapt or does not find again; the answers are kept per model.

    Layers whose names differ only in numbers are alike to PEFT, so one of them is tried.
    """
    known: dict[str, bool] = getattr(model, "_seal_peft_reads", {})
    kinds = {_kind(name): name for name in reversed(names)}
    unknown = [name for kind, name in kinds.items() if kind not in known]
    if unknown:
        read = _names_read(model, unknown)
        known = {**known, **{_kind(name): name in read for name in unknown}}
        model._seal_peft_reads = known  # type: ignore[assignment]
    return frozenset(name for name in names if not known[_kind(name)])


def sharing_weights(model: nn.Module) -> nn.Module:
    """A copy of a model's modules that holds the same tensors, so it takes no memory for them."""
    # Some layers keep a state of their last pass beside their weights (RecurrentGemma).
    states = [value for layer in model.modules() for value in vars(layer).values() if isinstance(value, Tensor)]
    return copy.deepcopy(model, {id(part): part for part in (*model.parameters(), *model.buffers(), *states)})


def lora_layers(model: nn.Module) -> dict[str, nn.Module]:
    """The layers that PEFT has adapted in a PeftModel, by their full names in the base model."""
    return {name.removeprefix(PREFIX): layer for name, layer in model.named_modules() if getattr(layer, "lora_A", None)}


def _kind(name: str) -> str:
    return re.sub(r"\b\d+\b", "*", name)


def _names_read(model: nn.Module, names: Sequence[str]) -> set[str]:
    """Try all at once; if PEFT refuses, each last part of a name by itself."""
    try:
        return _read_back(model, names)
    except (ValueError, TypeError, RuntimeError, KeyError):
        leaves = {name.rpartition(".")[2] for name in names}
        if len(leaves) == 1:
            return set()
        groups = ([name for name in names if name.rpartition(".")[2] == leaf] for leaf in sorted(leaves))
        return {name for group in groups for name in _names_read(model, group)}


def _read_back(model: nn.Module, names: Iterable[str]) -> set[str]:
    """The layers that PEFT finds and fills, of an adapter of rank 1 on these."""
    import warnings

    from peft import LoraConfig, get_peft_model, set_peft_model_state_dict

    names = list(names)
    tensors: dict[str, Tensor] = {}
    for name in names:
        shape = linear_shape(model.get_submodule(name))
        assert shape is not None, name
        tensors[f"{PREFIX}{name}{A_SUFFIX}"] = torch.ones(1, shape[0])
        tensors[f"{PREFIX}{name}{B_SUFFIX}"] = torch.ones(shape[1], 1)
    config = LoraConfig(r=1, target_modules=names, task_type="CAUSAL_LM")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peft_model = get_peft_model(sharing_weights(model), config, low_cpu_mem_usage=True)
        result = set_peft_model_state_dict(peft_model, tensors, low_cpu_mem_usage=True)
    return set(lora_layers(peft_model)) - missing_names(result.missing_keys)


def missing_names(keys: Iterable[str]) -> set[str]:
    """The layers that a list of missing keys is about; keys of the base model are left out."""
    return {key.removeprefix(PREFIX).partition(".lora_")[0] for key in keys if ".lora_" in key}


def read_folder(model: nn.Module, folder: Path) -> dict[str, Any]:
    """The layers that PEFT adapts and finds weights for when it loads a folder. Raises what PEFT raises."""
    import warnings

    from peft import PeftConfig, get_peft_model, set_peft_model_state_dict
    from peft.utils.save_and_load import load_peft_weights

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peft_model = get_peft_model(
            sharing_weights(model), PeftConfig.from_pretrained(str(folder)), low_cpu_mem_usage=True
        )
        weights = load_peft_weights(str(folder), device="cpu")
        result = set_peft_model_state_dict(peft_model, weights, low_cpu_mem_usage=True)
    missing = missing_names(result.missing_keys)
    return {name: layer for name, layer in lora_layers(peft_model).items() if name not in missing}
