"""Tries whether a model decodes in fixed memory as it does otherwise; no config says so."""

from __future__ import annotations

import logging

import torch

from seal_agent.base_model.model import BaseModel
from seal_agent.generation.batching import Decoding, Together, alike, decoding_of, trial_rows
from seal_agent.generation.decoding_state import CacheKind, DecodingState
from seal_agent.generation.rows import pad_left
from seal_agent.generation.static.attention import use_row_attention
from seal_agent.generation.static.cache import LayerSizes, sizes_of
from seal_agent.generation.static.rows import RowSizes, StaticRows
from seal_agent.lora.resident import ResidentAdapters
from seal_agent.lora.routing import routed

_log = logging.getLogger(__name__)

_LENGTHS = (2, 7, 4)  # of the prompts


def decodes_in_place(base: BaseModel) -> bool:
    """Whether fixed memory gives the same logits; tried once per model."""
    if "decodes in place" not in base.memo:
        base.memo["decodes in place"] = _try(base)
    known: bool = base.memo["decodes in place"]
    return known


def layers_of(base: BaseModel) -> tuple[LayerSizes, ...]:
    """The sizes of the layers of the model's cache, which are known once it was tried."""
    layers: tuple[LayerSizes, ...] = base.memo["row layers"]
    return layers


def _try(base: BaseModel) -> bool:
    if decoding_of(base) != Decoding(CacheKind.GROWING, Together.PADDED):
        return False
    if not DecodingState(base.module, CacheKind.GROWING).shares_prefixes:  # windows and recurrent states
        return False
    use_row_attention(base)
    try:
        with torch.inference_mode(), routed(None):
            return _same_logits(base)
    except Exception as err:  # a model may fail in any way where it does not support what is tried
        _log.warning("%s decodes without fixed memory (%s)", base.name, str(err).split("\n")[0])
        return False


def _same_logits(base: BaseModel) -> bool:
    """Three rows, of which the last joins one token later, into the place that was left free."""
    device, texts = base.device, trial_rows(base)
    states = []
    for rows in ([0, 1], [2]):
        ids_BT, mask_BT = pad_left([texts[i][: _LENGTHS[i]] for i in rows], base.pad_id, device)
        state = DecodingState(base.module, CacheKind.GROWING)
        state.read(ids_BT, mask_BT)
        states.append((rows, mask_BT, state))
    layers = base.memo["row layers"] = sizes_of(states[0][2].cache)
    residents = ResidentAdapters(base.module, device, base.dtype)
    static = StaticRows(base.module, RowSizes(4, 32, 0, 0), device, residents, layers)
    behind = dict.fromkeys(range(3), 0)  # tokens that were read behind each prompt
    for joined in (1, 2, 2):
        rows, mask_BT, state = states[joined - 1]
        if not behind[rows[0]]:
            row_R = torch.tensor([3 - i for i in rows], device=device)
            first = torch.tensor([texts[i][_LENGTHS[i]] for i in rows], device=device)
            static.join(row_R, torch.zeros_like(row_R), first, mask_BT, state)
        logits_BV = static.peek()
        for k, (rows, mask_BT, state) in enumerate(states[:joined]):
            ids_B1 = torch.tensor([[texts[i][_LENGTHS[i] + behind[i]]] for i in rows], device=device)
            mask_BT = torch.cat([mask_BT, mask_BT.new_ones(len(rows), 1)], dim=1)
            states[k] = (rows, mask_BT, state)
            wanted_BV = state.read(ids_B1, mask_BT)
            if not alike(logits_BV[[3 - i for i in rows]], wanted_BV, base.dtype):
                return False
            for i in rows:
                behind[i] += 1
                static.force(3 - i, texts[i][_LENGTHS[i] + behind[i]])
    return True
