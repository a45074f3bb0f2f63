"""Rows join those in fixed memory: their prompts are read, and their first tokens chosen.

Dimensions: R rows that join.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from seal_agent.base_model.graphs import free_bytes, on_device
from seal_agent.base_model.model import BaseModel
from seal_agent.generation.batching import most_positions
from seal_agent.generation.decoding_state import CacheKind, DecodingState
from seal_agent.generation.rows import DecodingRow
from seal_agent.generation.sampling import branch_off
from seal_agent.generation.static.rows import RowSizes, StaticRows, TokenReading
from seal_agent.generation.static.sampling import draws_of, logprobs_of, pick
from seal_agent.generation.static.trial import layers_of
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.lora.resident import ResidentAdapters
from seal_agent.lora.serving import ServingRoute
from seal_agent.lora.text_layers import text_layers
from seal_agent.types import Sampling

Prefill = Callable[[Sequence[DecodingRow], DecodingState, ServingRoute | None], tuple[Tensor, Tensor]]

MIN_POSITIONS = 256
_UNLIMITED = 1 << 62


@dataclass(frozen=True, slots=True)
class Joining:
    """A row that joins: its seat, and how its tokens are chosen."""

    seat: int
    row: DecodingRow
    sampling: Sampling


def join(
    base: BaseModel, prefill: Prefill, static: StaticRows, joining: Sequence[Joining], place_of: Mapping[int, int]
) -> TokenReading:
    """Read the prompts of rows, choose their first tokens, and seat them.

    Args:
        place_of: Where the adapter of each row is, by its id.
    """
    device, rows = base.device, [one.row for one in joining]
    seat_R = torch.tensor([one.seat for one in joining], device=device)
    place_R = torch.tensor([place_of[id(row.adapter)] for row in rows], device=device)
    state = DecodingState(base.module, CacheKind.GROWING)
    logits_RV, mask_RT = prefill(rows, state, static.route_of(place_R))
    temperature_R1, top_p_R1 = (
        torch.tensor([[getattr(one.sampling, name)] for one in joining], dtype=torch.float32, device=device)
        for name in ("temperature", "top_p")
    )
    static.temperature_B1[seat_R], static.top_p_B1[seat_R] = temperature_R1, top_p_R1
    uniform_R = None
    if draws := static.sizes.draws:
        uniform_RW = torch.stack([draws_of(row.generator, draws) for row in rows])
        static.uniform_BW[seat_R], static.drawn_B1[seat_R], uniform_R = uniform_RW, 1, uniform_RW[:, 0]
    tokens_R = pick(logits_RV, uniform_R, temperature_R1, top_p_R1)
    tokens_R = branch_off(logits_RV, tokens_R, [row.branch for row in rows])
    static.join(seat_R, place_R, tokens_R, mask_RT, state)
    with on_device(device):
        return TokenReading(tokens_R, logprobs_of(logits_RV, tokens_R))


def allocated(base: BaseModel, sizes: RowSizes, residents: ResidentAdapters) -> StaticRows | None:
    """Memory for rows of these sizes; None where there is not enough."""
    try:
        return StaticRows(base.module, sizes, base.device, residents, layers_of(base))
    except torch.OutOfMemoryError:
        return None


def positions_for(longest: int, window: int) -> int:
    """Positions of rows of at most this length, prompt and completion: one of few values.

    None lies beyond the model's window, where learned positions end: rows without a text run to the last one.
    """
    return min(window, max(MIN_POSITIONS, 1 << (longest - 1).bit_length()))


def rows_that_fit(base: BaseModel, positions: int) -> int:
    """Rows of this many positions that one batch may have, by the bytes of their cache; at least one."""
    most = most_positions(base)
    return _UNLIMITED if most is None else max(1, most // positions)


def is_by_row(base: BaseModel, adapter: LoraAdapter | None) -> bool:
    """Whether an adapter's layers see the tokens of the rows in order. An expert sees those that are routed to it."""
    return adapter is None or adapter.pairs.keys() <= text_layers(base.module).by_token


def room_on(device: torch.device) -> int:
    """Bytes that can be allocated for adapters."""
    return free_bytes(device) if device.type == "cuda" else _UNLIMITED
