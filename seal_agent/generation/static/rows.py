"""The rows of a decoding in fixed memory: what the device holds of each, and the step that writes a token of all.

Dimensions: B rows, R rows that join, T positions, V vocabulary, W random numbers of a row.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from seal_agent.generation.decoding_state import DecodingState
from seal_agent.generation.static.attention import attending_by_rows
from seal_agent.generation.static.cache import LayerSizes, RowCache
from seal_agent.generation.static.sampling import logprobs_of, pick
from seal_agent.lora.resident import ResidentAdapters
from seal_agent.lora.routing import routed
from seal_agent.lora.serving import ServingRoute

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class RowSizes:
    """What a recorded step depends on."""

    rows: int
    positions: int
    draws: int
    """Random numbers of a row; 0 where the likeliest token is taken."""
    adapters: int
    """Version of the resident adapters; 0 where no row uses one."""


class StaticRows:
    """Rows that are decoded together."""

    def __init__(
        self,
        module: nn.Module,
        sizes: RowSizes,
        device: torch.device,
        residents: ResidentAdapters,
        layers: Sequence[LayerSizes],
    ) -> None:
        """Allocates all memory of the rows; `layers` are the sizes of the model's own cache."""
        self._module, self.sizes, self._residents = module, sizes, residents
        rows = sizes.rows
        self._parameters = inspect.signature(module.forward).parameters
        self.ids_B1 = torch.zeros(rows, 1, dtype=torch.long, device=device)
        self.position_B = torch.zeros(rows, dtype=torch.long, device=device)
        self.uniform_BW = torch.zeros(rows, sizes.draws, device=device)
        self.drawn_B1 = torch.zeros(rows, 1, dtype=torch.long, device=device)
        self.temperature_B1, self.top_p_B1 = torch.zeros(2, rows, 1, device=device)
        self.place_B = torch.full((rows,), residents.count, device=device)
        self.tokens_B = torch.zeros(rows, dtype=torch.long, device=device)
        self.logprobs_B = torch.zeros(rows, device=device)
        self._arange_T = torch.arange(sizes.positions, device=device)
        self._mask_B1C = residents.column_mask(self.place_B) if sizes.adapters else torch.empty(0)
        self._route = residents.route(self.place_B, self._mask_B1C) if sizes.adapters else None
        self._cache = RowCache(sizes.positions, self.position_B, layers)

    def route_of(self, place_R: Tensor) -> ServingRoute | None:
        """The route of rows that join, whose adapters are at these places."""
        return self._residents.route(place_R, self._residents.column_mask(place_R)) if self._route else None

    def join(self, row_R: Tensor, place_R: Tensor, tokens_R: Tensor, mask_RT: Tensor, state: DecodingState) -> None:
        """Take rows that have been read.

        Args:
            row_R: Where they go.
            place_R: Where their adapters are.
            tokens_R: Their first tokens.
            mask_RT: 1 for each token that was read, 0 for padding.
            state: Holds their cache.
        """
        self._cache.take(state.cache, mask_RT, row_R)
        self.ids_B1[row_R] = tokens_R[:, None]
        self.position_B[row_R] = mask_RT.sum(1)
        if self._route is not None:
            self.place_B[row_R] = place_R
            self._mask_B1C[row_R] = self._residents.column_mask(place_R)

    def step(self) -> None:
        """Write the next token of every row; rows without a text of their own write nonsense that nobody reads."""
        self._write(self.uniform_BW.gather(1, self.drawn_B1).squeeze(1) if self.sizes.draws else None)

    def step_greedily(self) -> None:
        """As `step`, where every row takes the likeliest token: the vocabulary is not sorted."""
        self._write(None)

    def _write(self, uniform_B: Tensor | None) -> None:
        logits_BV = self.peek()
        self.tokens_B.copy_(pick(logits_BV, uniform_B, self.temperature_B1, self.top_p_B1))
        self.logprobs_B.copy_(logprobs_of(logits_BV, self.tokens_B))
        self.ids_B1.copy_(self.tokens_B[:, None])
        self.position_B.add_(1).clamp_(max=self.sizes.positions - 1)
        self.drawn_B1.add_(1).clamp_(max=max(self.sizes.draws - 1, 0))

    def force(self, row: int, token: int) -> None:
        """Go on with this token, after `peek`."""
        self.ids_B1[row] = token
        self.position_B[row] += 1

    def peek(self) -> Tensor:
        """Logits behind the present token of every row, in float32, B×V; the token is in the cache then."""
        given: dict[str, Any] = {
            "attention_mask": (self._arange_T <= self.position_B[:, None])[:, None, None, :],
            "position_ids": self.position_B[:, None],
            "past_key_values": self._cache.cache,
            "use_cache": True,
            "logits_to_keep": 1,
            "return_dict": True,
        }
        accepted = {name: value for name, value in given.items() if name in self._parameters or name == "return_dict"}
        with routed(self._route), attending_by_rows():
            logits: Tensor = self._module(input_ids=self.ids_B1, **accepted).logits
        return logits[:, -1].float()


class TokenReading:
    """Tokens on their way to the host, with the rows that they belong to."""

    def __init__(self, tokens_B: Tensor, logprobs_B: Tensor) -> None:
        on_cuda = tokens_B.device.type == "cuda"
        self._both = torch.empty(2, len(tokens_B), dtype=torch.float64, pin_memory=on_cuda)
        # float64 holds token ids exactly, so that one copy takes both
        self._both.copy_(torch.stack([tokens_B.double(), logprobs_B.double()]), non_blocking=True)
        self._copied = torch.cuda.Event() if on_cuda else None  # type: ignore[no-untyped-call]
        if self._copied is not None:
            self._copied.record()

    def values(self) -> Sequence[tuple[int, float]]:
        """Token and log-probability of each row; waits until they are written."""
        if self._copied is not None:
            self._copied.synchronize()
        tokens, logprobs = self._both.tolist()
        return [(int(token), logprob) for token, logprob in zip(tokens, logprobs, strict=True)]

    def of(self, rows: Sequence[tuple[int, Row]]) -> list[tuple[Row, int, float]]:
        """Token and log-probability of these rows, each given with its seat."""
        values = self.values()
        # A reading of rows that join has their order, one of a step has that of the seats.
        at = range(len(rows)) if len(values) == len(rows) else [seat for seat, _ in rows]
        return [(row, *values[place]) for place, (_, row) in zip(at, rows, strict=True)]
