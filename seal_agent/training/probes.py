"""Tests what a base model allows: packed rows, shared prefixes. Each test runs once per model."""

from __future__ import annotations

import torch
from torch import Tensor

from seal_agent.base_model.model import BaseModel
from seal_agent.lora.routing import routed
from seal_agent.training.bank.route import BankRoute
from seal_agent.training.bank.storage import LoraBank
from seal_agent.training.packing import MIN_PREFIX_TOKENS, Batch, Row, lay_out
from seal_agent.types import TrainingSequence


def last_hidden_states(base: BaseModel, batch: Batch) -> Tensor:
    """Last hidden states of all tokens, N×D; called inside a route."""
    hidden: Tensor = base.module.base_model(**batch.inputs())[0]
    return hidden.flatten(0, 1)


def supports_packing(base: BaseModel) -> bool:
    """Whether packed sequences give the same hidden states as separate ones.

    False for models that mix tokens by other means than attention over position ids.
    """
    cached: bool | None = getattr(base.module, "_seal_packs", None)
    if cached is None:
        cached = _packed_matches_separate(base, 0)
        base.module._seal_packs = cached
    return cached


def supports_shared_prefixes(base: BaseModel) -> bool:
    """Whether sequences with a shared prefix give the same hidden states as separate ones.

    False where attention is not plain and causal over the whole sequence: such layers run transformers' own attention,
    which knows no shared prefix.
    """
    cached: bool | None = getattr(base.module, "_seal_shares", None)
    if cached is None:
        windowed = getattr(base.module.config.get_text_config(), "sliding_window", None) is not None
        cached = supports_packing(base) and not windowed and _packed_matches_separate(base, MIN_PREFIX_TOKENS)
        base.module._seal_shares = cached
    return cached


@torch.no_grad()
def _packed_matches_separate(base: BaseModel, prefix_length: int) -> bool:
    """Compares two short sequences, packed with a shared prefix of this length, with each of them alone."""
    vocabulary = base.module.get_input_embeddings().weight.shape[0]
    generator = torch.Generator().manual_seed(0)
    prefix, *suffixes = (
        torch.randint(vocabulary, (length,), generator=generator).tolist() for length in (prefix_length, 7, 12)
    )
    rows = [
        Row(0, TrainingSequence(ids, ids), 1.0, 0, prefix_length) for ids in ((*prefix, *suffix) for suffix in suffixes)
    ]
    separate = [last_hidden_states(base, lay_out([row], False, base.pad_id, base.device)) for row in rows]
    expected = torch.cat([separate[0], separate[1][prefix_length:]])
    batch = lay_out(rows, True, base.pad_id, base.device)
    try:
        empty_bank = LoraBank(base.module, (), 1, 1, base.device, base.dtype)
        with routed(BankRoute(empty_bank, (), batch.segments)):
            packed = last_hidden_states(base, batch)
    except (AssertionError, RuntimeError, ValueError, TypeError):
        return False
    tolerance = 1e-3 if base.dtype == torch.float32 else 5e-2
    return bool((packed - expected).float().norm() <= tolerance * expected.float().norm())
