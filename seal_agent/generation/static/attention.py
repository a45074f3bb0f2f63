"""Attention of one new token per row to the row's cache, with key heads that are not repeated for their query heads.

Dimensions: B rows, H query heads, G key heads, Q query heads per key head, T positions, E head size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor

from seal_agent.base_model.attention import attends_plainly, wrap_attention
from seal_agent.base_model.model import BaseModel

_PREFIX = "seal_rows_"
_active: ContextVar[bool] = ContextVar("seal_agent_rows", default=False)


@contextmanager
def attending_by_rows() -> Iterator[None]:
    """Within the block, layers of this thread attend to their caches as here."""
    token = _active.set(True)
    try:
        yield
    finally:
        _active.reset(token)


def use_row_attention(base: BaseModel) -> None:
    """Make `base` attend as here inside `attending_by_rows`, and as before elsewhere. Safe to repeat."""
    wrap_attention(base, _PREFIX, _with_rows)


def _with_rows(default: Callable[..., Any]) -> Callable[..., Any]:
    def attention(
        module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **options: Any
    ) -> Any:
        if not _active.get() or attention_mask is None or not attends_plainly(module, key.shape[2], options):
            return default(module, query, key, value, attention_mask, **options)
        scaling = options.get("scaling")
        scale = query.shape[-1] ** -0.5 if scaling is None else scaling
        return row_attention(query, key, value, attention_mask, scale), None

    return attention


def row_attention(query: Tensor, key: Tensor, value: Tensor, mask_B11T: Tensor, scale: float) -> Tensor:
    """Attention of B×H×1×E to B×G×T×E where the mask is true. Returns B×1×H×E."""
    rows, heads, _, size = query.shape
    query_BGQE = query.view(rows, key.shape[1], -1, size)
    scores_BGQT = torch.matmul(query_BGQE * scale, key.transpose(2, 3)).masked_fill_(~mask_B11T, float("-inf"))
    probs_BGQT = scores_BGQT.softmax(-1, dtype=torch.float32).to(value.dtype)
    return torch.matmul(probs_BGQT, value).reshape(rows, 1, heads, -1)
