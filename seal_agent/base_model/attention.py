"""Attention of our own inside a model of transformers: registered under a name, used where the thread asks for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from seal_agent.base_model.model import BaseModel

Attention = Callable[..., Any]

_KNOWN_OPTIONS = {"scaling", "dropout", "is_causal", "sliding_window", "position_ids", "use_cache", "cache_position"}


def wrap_attention(base: BaseModel, prefix: str, wrap: Callable[[Attention], Attention]) -> bool:
    """Wrap the attention of `base`, once per `prefix`. Returns whether it is wrapped: not every model can be."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    current = base.module.config._attn_implementation
    if current is not None and prefix in current:
        return True
    if current is None or current not in ALL_ATTENTION_FUNCTIONS:
        return False
    if current not in ALL_MASK_ATTENTION_FUNCTIONS or not base.module._can_set_attn_implementation():
        return False
    name = prefix + current
    AttentionInterface.register(name, wrap(ALL_ATTENTION_FUNCTIONS[current]))
    AttentionMaskInterface.register(name, ALL_MASK_ATTENTION_FUNCTIONS[current])
    base.module.set_attn_implementation(name)
    return True


def attends_plainly(module: Any, longest: int, options: Mapping[str, Any]) -> bool:
    """Whether attention is causal, without dropout, unknown options, or a window shorter than `longest` tokens."""
    window = options.get("sliding_window")
    return (
        not any(value is not None for name, value in options.items() if name not in _KNOWN_OPTIONS)
        and not options.get("dropout")
        and options.get("is_causal") is not False
        and getattr(module, "is_causal", True)
        and (window is None or longest <= window)
    )
