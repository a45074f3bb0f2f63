"""How much memory the activations of a pass take, reckoned from a model's config."""

from __future__ import annotations

from seal_agent.base_model.model import BaseModel

# What a layer keeps of a token for the backward pass, counted on Llama: numbers per hidden and per inner dimension.
HIDDEN_KEPT, INNER_KEPT = 14, 4


def activation_bytes(base: BaseModel) -> int | None:
    """Bytes that a token of a pass takes until its backward pass; None for models whose config does not say."""
    config = base.module.config.get_text_config()
    hidden, inner, layers = (
        getattr(config, name, None) for name in ("hidden_size", "intermediate_size", "num_hidden_layers")
    )
    if not isinstance(hidden, int) or not isinstance(layers, int):
        return None
    inner = inner if isinstance(inner, int) else 4 * hidden
    return layers * (HIDDEN_KEPT * hidden + INNER_KEPT * inner) * base.dtype.itemsize
