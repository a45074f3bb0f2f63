"""Rotary positions of a GGUF file: what stretches them becomes a setting of the config.

llama.cpp divides each rotary frequency by an element of `rope_freqs.weight`. For Llama 3.1 and later its converter
works the elements out from the config's "llama3" scaling, so that the scaling can be found from them again. Linear
scaling and YaRN stand in the metadata, which transformers reads for few architectures.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from seal_agent.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

_LLAMA3 = {"rope_type": "llama3", "low_freq_factor": 1.0, "high_freq_factor": 4.0}  # of every Llama 3 so far
_ORIGINAL_WINDOWS = (8192, 2048, 4096, 16384, 32768, 65536, 131072)  # the first is that of every Llama 3 so far
_ROUNDING = 1e-5  # both sides compute in float32 or better

# Names below `ARCHITECTURE.rope.scaling.` (gguf, Keys.Rope). The neutral ones are refused at any other value, since no
# setting does the same.
_YARN = {"yarn_beta_fast": "beta_fast", "yarn_beta_slow": "beta_slow"}
_NEUTRAL = {"yarn_ext_factor": 1.0, "yarn_log_multiplier": 0.0, "alpha": 0.0}
_NAMES = ("type", "factor", "original_context_length", "attn_factor", "yarn_attn_factor", *_YARN, *_NEUTRAL)


def scale_positions(weights: str, module: PreTrainedModel, field: Callable[[str], Any]) -> None:
    """Give the config the scaling of the metadata (`ARCHITECTURE.rope.scaling.…`), read as llama.cpp does.

    Only the config changes, so the model has to be saved and loaded again. Of a model with rotary settings per kind of
    layer, such as Gemma 3, the layers that see everything are scaled; those with a window are not (llama.cpp,
    `rope_freq_scale_train_swa`).

    Args:
        weights: The file's name.
        module: The model that was loaded of it.
        field: A value of the file's metadata by name; None where there is none.

    Raises ModelError where no setting of transformers is that scaling.
    """
    architecture = field("general.architecture")
    scaling = {name: field(f"{architecture}.rope.scaling.{name}") for name in _NAMES}
    scaling = {name: value for name, value in scaling.items() if value is not None}
    factor = float(scaling.get("factor") or field(f"{architecture}.rope.scale_linear") or 1.0)
    kind = scaling.get("type", "linear")
    if kind == "none" or factor == 1.0:
        return
    scaling.setdefault("original_context_length", field(f"{architecture}.context_length"))
    settings, parameters = _settings(kind, factor, scaling), _parameters(module.config)
    if settings is None or parameters is None:
        given = ", ".join(f"{name} {value}" for name, value in sorted(scaling.items()))
        raise ModelError(
            f"the file {weights} stretches its rotary positions in a way that transformers has no setting for "
            f"({given}); load the model as safetensors, from its folder or hub id"
        )
    if parameters.get("rope_type", "default") == "default":  # else transformers has read it
        parameters.update(settings)


def _settings(kind: str, factor: float, scaling: Mapping[str, Any]) -> dict[str, Any] | None:
    """The scaling as transformers names it; None where it has no such scaling."""
    strength = float(scaling.get("attn_factor", scaling.get("yarn_attn_factor", 1.0)))
    if any(not math.isclose(float(scaling.get(name, value)), value) for name, value in _NEUTRAL.items()):
        return None
    if kind == "linear" and strength == 1.0:
        return {"rope_type": "linear", "factor": factor}
    if kind != "yarn" or not scaling["original_context_length"]:
        return None
    found = {new: float(scaling[old]) for old, new in _YARN.items() if old in scaling}
    if strength != 1.0:
        found["attention_factor"] = strength * (1 + 0.1 * math.log(factor))  # ggml, rope_yarn
    original = int(scaling["original_context_length"])
    return {"rope_type": "yarn", "factor": factor, "original_max_position_embeddings": original, **found}


def _parameters(config: Any) -> dict[str, Any] | None:
    """The rotary settings that a scaling belongs to; None of a model without them."""
    rope = getattr(config.get_text_config(), "rope_parameters", None)
    if not rope:
        return None
    found: dict[str, Any] = rope.get("full_attention", rope)
    return found


def has_frequencies(module: PreTrainedModel, divisors_F: Tensor) -> bool:
    """Whether the model's own frequencies are already those of its base, divided by these numbers."""
    import torch

    buffers = [buffer for name, buffer in module.named_buffers() if name.endswith("inv_freq")]
    return any(
        torch.allclose(buffer.float().cpu(), plain_F / divisors_F, rtol=_ROUNDING, atol=1e-20)
        for buffer in buffers
        if len(buffer) == len(divisors_F)
        for plain_F in [_plain_frequencies(theta, len(divisors_F)) for theta in _thetas(module.config)]
    )


def scale_frequencies(module: PreTrainedModel, divisors_F: Tensor) -> bool:
    """Set the "llama3" scaling that divides the frequencies by these numbers; False where none does.

    Only the config changes, so the model has to be saved and loaded again.
    """
    import torch
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    rope = dict(getattr(module.config, "rope_parameters", None) or {})
    if rope.get("rope_type") != "default" or not math.isfinite(factor := float(divisors_F.max())):
        return False
    wanted_F = _plain_frequencies(rope["rope_theta"], len(divisors_F)) / divisors_F
    for window in _ORIGINAL_WINDOWS:
        scaled = {**rope, **_LLAMA3, "factor": factor, "original_max_position_embeddings": window}
        trial = copy.deepcopy(module.config)
        trial.rope_parameters = scaled
        given_F, _ = ROPE_INIT_FUNCTIONS["llama3"](trial, torch.device("cpu"))
        if len(given_F) == len(wanted_F) and torch.allclose(given_F, wanted_F, rtol=_ROUNDING, atol=0):
            module.config.rope_parameters = scaled
            return True
    return False


def _plain_frequencies(theta: float, count: int) -> Tensor:
    import torch

    return theta ** -(torch.arange(count, dtype=torch.float64) / count).float()


def _thetas(config: Any) -> set[float]:
    rope = getattr(config.get_text_config(), "rope_parameters", None) or {}
    kinds = [rope, *(inner for inner in rope.values() if isinstance(inner, Mapping))]
    return {float(kind["rope_theta"]) for kind in kinds if kind.get("rope_theta")}
