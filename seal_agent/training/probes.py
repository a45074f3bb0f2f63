"""Tests what a base model allows: packed rows, shared prefixes. Each test runs once per model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from seal_agent.base_model.model import BaseModel
from seal_agent.base_model.sight import has_pictures, sight_of
from seal_agent.errors import ModelError
from seal_agent.lora.routing import routed
from seal_agent.lora.text_layers import inner_model, plain_token_ids
from seal_agent.training.bank.route import BankRoute
from seal_agent.training.bank.storage import LoraBank
from seal_agent.training.packing import MIN_PREFIX_TOKENS, Batch, Row, lay_out
from seal_agent.types import TrainingSequence


def last_hidden_states(base: BaseModel, batch: Batch) -> Tensor:
    """Last hidden states of all tokens, N×D; the logits where a model has no inner model. Called inside a route."""
    hidden: Tensor = inner_model(base.module)(**inputs_of(base, batch))[0]
    return hidden.flatten(0, 1)


def inputs_of(base: BaseModel, batch: Batch) -> dict[str, Any]:
    """Keyword arguments of the model's forward, with positions in three dimensions where its pictures have such."""
    inputs, sight = batch.inputs(), sight_of(base.module)
    if sight is None or sight.rope_index is None or not has_pictures(batch.ids_BT):
        return inputs
    ids = batch.ids_BT.flatten()
    if batch.segments is None:
        bounds = [
            ((i * batch.ids_BT.shape[1], (i + 1) * batch.ids_BT.shape[1]), (0, 0)) for i in range(len(batch.ids_BT))
        ]
    else:
        bounds = list(zip(batch.segments.bounds, batch.segments.prefixes, strict=True))
    parts = []
    for (start, stop), prefix in bounds:
        row_1T = torch.cat([ids[slice(*prefix)], ids[start:stop]])[None]
        placed = sight.places(row_1T, torch.ones_like(row_1T))
        assert placed is not None
        parts.append(placed[0][..., prefix[1] - prefix[0] :])
    return {**inputs, "position_ids": torch.cat(parts, -1).view(3, *batch.ids_BT.shape)}


def check_trainable(base: BaseModel) -> None:
    """Raises ModelError for a model through which nothing can be learnt: not causal, or in a form without gradients."""
    quantizer = getattr(base.module, "hf_quantizer", None)
    if quantizer is not None and not quantizer.is_trainable:
        method = quantizer.quantization_config.quant_method
        raise ModelError(
            f"the weights of {base.name!r} are quantised as {getattr(method, 'value', method)}, through which no right "
            "gradient passes; load the same model in bfloat16, or quantised by bitsandbytes"
        )
    check_causal(base)


def check_causal(base: BaseModel) -> None:
    """Raises ModelError if a token's state depends on tokens after it: it would learn to copy them."""
    if getattr(base.module, "_seal_causal", None) is None:
        base.module._seal_causal = _is_causal(base)
    if not base.module._seal_causal:
        raise ModelError(
            f"in {base.name!r} ({type(base.module).__name__}) a token sees the tokens after it, so the next one cannot "
            "be learnt; load a causal language model"
        )


@torch.no_grad()
def _is_causal(base: BaseModel) -> bool:
    ids = tuple(plain_token_ids(base.module, 12))
    whole, beginning = (_states(base, [Row(0, TrainingSequence(part, part), 1.0)]) for part in (ids, ids[:7]))
    assert whole is not None
    assert beginning is not None
    return _nearly_equal(whole[:7], beginning, base.dtype)


def supports_packing(base: BaseModel) -> bool:
    """Whether packed sequences give the same hidden states as separate ones, and none of them reaches another.

    False for models that mix tokens by other means than attention over position ids.
    """
    cached: bool | None = getattr(base.module, "_seal_packs", None)
    if cached is None:
        cached = not _attends_in_chunks(base) and _packed_matches_separate(base, 0)
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


def reads_no_mask(base: BaseModel) -> bool:
    """Whether packed rows need no mask: every layer attends by segments, and none reads what it is given instead.

    transformers passes a mask with four dimensions on as it is, and then builds none of tokens × tokens.
    """
    cached: bool | None = getattr(base.module, "_seal_reads_no_mask", None)
    if cached is None:
        cached = supports_packing(base) and _same_without_mask(base)
        base.module._seal_reads_no_mask = cached
    return cached


@torch.no_grad()
def _same_without_mask(base: BaseModel) -> bool:
    ids = plain_token_ids(base.module, 19)
    rows = [_row((), part) for part in (ids[:7], ids[7:])]
    masked, unmasked = _states(base, rows, packed=True), _states(base, rows, packed=True, without_mask=True)
    return masked is not None and unmasked is not None and torch.equal(masked, unmasked)


def _attends_in_chunks(base: BaseModel) -> bool:
    """Llama 4 cuts a row into chunks from its start, wherever the sequences in it begin."""
    return getattr(base.module.config.get_text_config(), "attention_chunk_size", None) is not None


@torch.no_grad()
def _packed_matches_separate(base: BaseModel, prefix_length: int) -> bool:
    """Compares two short sequences, packed with a shared prefix of this length, with each of them alone."""
    ids = plain_token_ids(base.module, prefix_length + 7 + 12)
    prefix, first, second = ids[:prefix_length], ids[prefix_length:-12], ids[-12:]
    rows = [_row(prefix, suffix) for suffix in (first, second)]
    packed = _states(base, rows, packed=True)
    if packed is None:
        return False
    alone_first, alone_second = (_states(base, [row]) for row in rows)
    changed = plain_token_ids(base.module, 12, seed=1)
    other_first = _states(base, [_row(prefix, changed[:7]), rows[1]], packed=True)
    other_second = _states(base, [rows[0], _row(prefix, changed)], packed=True)
    # A difference that is small on average may still be a leak, so what is left alone must not move by a single bit.
    kept_first = slice(0, prefix_length + 7)
    kept_second = [*range(prefix_length), *range(len(packed) - 12, len(packed))]
    return (
        alone_first is not None
        and alone_second is not None
        and _nearly_equal(packed, torch.cat([alone_first, alone_second[prefix_length:]]), base.dtype)
        and other_first is not None
        and other_second is not None
        and torch.equal(packed[kept_second], other_first[kept_second])
        and torch.equal(packed[kept_first], other_second[kept_first])
    )


def _row(prefix: Sequence[int], suffix: Sequence[int]) -> Row:
    ids = (*prefix, *suffix)
    return Row(0, TrainingSequence(ids, ids), 1.0, 0, len(prefix))


def _states(base: BaseModel, rows: Sequence[Row], packed: bool = False, without_mask: bool = False) -> Tensor | None:
    """Hidden states of these rows; None if the model cannot take them packed."""
    batch = lay_out(rows, packed, base.pad_id, base.device)
    if without_mask:
        batch = replace(batch, mask_1111=torch.ones(1, 1, 1, 1, dtype=torch.bool, device=base.device))
    if not packed:
        with routed(None):
            return last_hidden_states(base, batch)
    try:
        empty_bank = LoraBank(base.module, (), 1, 1, base.device, base.dtype)
        with routed(BankRoute(empty_bank, (), batch.segments)):
            return last_hidden_states(base, batch)
    except (AssertionError, RuntimeError, ValueError, TypeError):
        return None


def _nearly_equal(left: Tensor, right: Tensor, dtype: torch.dtype) -> bool:
    tolerance = 1e-3 if dtype == torch.float32 else 5e-2
    return bool((left - right).float().norm() <= tolerance * right.float().norm())
