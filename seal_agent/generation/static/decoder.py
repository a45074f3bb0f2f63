"""Decodes on a GPU: a step of all rows is one replay, rows join while others finish, and the host reads one step late.

A row that has finished is seen to be so one step later; what was written for it by then is dropped.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from seal_agent.base_model.graphs import Recorder, Replay, free_bytes, on_device, recorded
from seal_agent.base_model.model import BaseModel
from seal_agent.generation.decoding_state import CacheKind, DecodingState
from seal_agent.generation.rows import DecodingRow
from seal_agent.generation.sampling import branch_off
from seal_agent.generation.static.attention import use_row_attention
from seal_agent.generation.static.rows import RowSizes, StaticRows, TokenReading
from seal_agent.generation.static.sampling import DRAWS, draws_of, is_greedy, logprobs_of, pick
from seal_agent.lora.resident import ResidentAdapters
from seal_agent.lora.serving import ServingRoute
from seal_agent.types import Sampling

Prefill = Callable[[Sequence[DecodingRow], DecodingState, ServingRoute | None], tuple[Tensor, Tensor]]
Accept = Callable[[DecodingRow, int, float], None]

MIN_POSITIONS = 256
MAX_KEPT = 6  # sizes whose memory and recording are kept; not tuned
JOIN_SHARE = 0.25  # of the rows must be free before others join: each time costs a pass over prompts. Not tuned


@dataclass(slots=True)
class _Kept:
    rows: StaticRows
    steps: int = 0
    replay: Replay | None = None


@dataclass(slots=True)
class _Writing:
    """A row and the tokens that were launched for it."""

    row: DecodingRow
    launched: int = 1


class StaticDecoder:
    """Fixed rows of one model. One call at a time uses it; `busy` tells whether one does."""

    def __init__(self, base: BaseModel, max_rows: int, prefill: Prefill, recorder: Recorder | None) -> None:
        self._base, self._max_rows, self._prefill, self._recorder = base, max_rows, prefill, recorder
        self._residents = ResidentAdapters(base.module, base.device, base.dtype)
        self._kept: dict[RowSizes, _Kept] = {}
        self.lock = threading.Lock()
        use_row_attention(base)

    @property
    def recordings(self) -> int:
        """Steps that can be replayed."""
        return sum(kept.replay is not None for kept in self._kept.values())

    @torch.inference_mode()
    def decode(self, rows: Sequence[DecodingRow], sampling: Sampling, accept: Accept) -> Iterator[None] | None:
        """Decode rows until all are finished; yields after every step. None where they or their adapters do not fit.

        Args:
            rows: Prompts; none is constrained by a grammar.
            sampling: For all of them.
            accept: Adds a token and its log-probability to a row, and says whether it was the last.
        """
        adapters = [row.adapter for row in rows]
        places = self._residents.places_of(adapters, self._free_bytes())
        if places is None:
            return None
        place_of = {id(adapter): place for adapter, place in zip(adapters, places, strict=True)}
        kept = self._rows_for(rows, sampling, any(adapter is not None for adapter in adapters))
        return self._run(kept, rows, sampling, accept, place_of) if kept else None

    @torch.inference_mode()
    def _run(
        self,
        kept: _Kept,
        rows: Sequence[DecodingRow],
        sampling: Sampling,
        accept: Accept,
        place_of: dict[int, int],
    ) -> Iterator[None]:
        waiting = deque(sorted(rows, key=lambda row: len(row.prompt_ids)))
        seats: list[_Writing | None] = [None] * kept.rows.sizes.rows
        unread: deque[tuple[list[tuple[int, DecodingRow]], TokenReading]] = deque()
        kept.rows.temperature.fill_(max(sampling.temperature, 1e-6))
        kept.rows.top_p.fill_(sampling.top_p)
        while waiting or any(seats) or unread:
            free = [i for i, seat in enumerate(seats) if seat is None]
            if waiting and (len(free) == len(seats) or len(free) >= JOIN_SHARE * len(seats)):
                joining = [(i, waiting.popleft()) for i in free[: len(waiting)]]
                unread.append((joining, self._join(kept.rows, joining, sampling, place_of)))
                for i, row in joining:
                    seats[i] = _Writing(row)
            _leave(seats, sampling.max_tokens)
            writing = [(i, seat.row) for i, seat in enumerate(seats) if seat is not None]
            if writing:
                unread.append((writing, self._step(kept)))
                for writer in filter(None, seats):
                    writer.launched += 1
                _leave(seats, sampling.max_tokens)
            while len(unread) > (1 if any(seats) else 0):
                _read(*unread.popleft(), accept)
                for i, seat in enumerate(seats):
                    if seat is not None and seat.row.finish is not None:
                        seats[i] = None
                yield

    def _free_bytes(self) -> int:
        device = self._base.device
        return free_bytes(device) if device.type == "cuda" else 1 << 62

    def _rows_for(self, rows: Sequence[DecodingRow], sampling: Sampling, adapted: bool) -> _Kept | None:
        """Memory for these rows, kept or new; None where there is none, even without what is kept for other sizes."""
        longest = max(len(row.prompt_ids) for row in rows) + sampling.max_tokens
        sizes = RowSizes(
            rows=min(self._max_rows, 1 << (len(rows) - 1).bit_length()),
            positions=max(MIN_POSITIONS, 1 << (longest - 1).bit_length()),
            draws=0 if is_greedy(sampling) else DRAWS * -(-sampling.max_tokens // DRAWS),
            adapters=self._residents.version if adapted else 0,
        )
        kept = self._kept.pop(sizes, None)
        if kept is None:
            current = (0, self._residents.version)
            self._kept = {key: value for key, value in self._kept.items() if key.adapters in current}
            while len(self._kept) >= MAX_KEPT:
                self._kept.pop(next(iter(self._kept)))
            made = self._made(sizes)
            if made is None:
                return None
            kept = _Kept(made)
        self._kept[sizes] = kept  # behind all others: the dictionary is in order of use
        return kept

    def _made(self, sizes: RowSizes) -> StaticRows | None:
        for _ in range(2):
            try:
                return StaticRows(self._base.module, sizes, self._base.device, self._residents)
            except torch.OutOfMemoryError:
                self._kept.clear()
                torch.cuda.empty_cache()
        return None

    def _join(
        self,
        static: StaticRows,
        joining: Sequence[tuple[int, DecodingRow]],
        sampling: Sampling,
        place_of: dict[int, int],
    ) -> TokenReading:
        """Read the prompts of rows, choose their first tokens, and seat them."""
        rows = [row for _, row in joining]
        row_R = torch.tensor([i for i, _ in joining], device=self._base.device)
        place_R = torch.tensor([place_of[id(row.adapter)] for row in rows], device=self._base.device)
        state = DecodingState(self._base.module, CacheKind.GROWING)
        logits_RV, mask_RT = self._prefill(rows, state, static.route_of(place_R))
        uniform_R = None
        if static.sizes.draws:
            uniform_RW = torch.stack([draws_of(row.generator, sampling.max_tokens) for row in rows])
            static.uniform_BW[row_R], static.drawn_B1[row_R], uniform_R = uniform_RW, 1, uniform_RW[:, 0]
        tokens_R = pick(logits_RV, uniform_R, static.temperature, static.top_p)
        tokens_R = branch_off(logits_RV, tokens_R, [row.branch for row in rows])
        static.join(row_R, place_R, tokens_R, mask_RT, state)
        with on_device(self._base.device):
            return TokenReading(tokens_R, logprobs_of(logits_RV, tokens_R))

    def _step(self, kept: _Kept) -> TokenReading:
        """Write a token of every row."""
        with on_device(self._base.device):
            self._write(kept)
            return TokenReading(kept.rows.tokens_B, kept.rows.logprobs_B)

    def _write(self, kept: _Kept) -> None:
        kept.steps += 1
        if kept.replay is None and self._recorder is not None and kept.steps == 2:  # the first one warmed up
            kept.replay = recorded(self._recorder, kept.rows.step, "decoding")
            if kept.replay is None:
                self._recorder = None
        (kept.replay or kept.rows.step)()


def _leave(seats: list[_Writing | None], max_tokens: int) -> None:
    """Rows for which the last token was launched leave their seats; it is read later."""
    for i, seat in enumerate(seats):
        if seat is not None and seat.launched >= max_tokens:
            seats[i] = None


def _read(rows: Sequence[tuple[int, DecodingRow]], reading: TokenReading, accept: Accept) -> None:
    values = reading.values()
    # A reading of rows that join has their order, one of a step has that of the seats.
    at = range(len(rows)) if len(values) == len(rows) else [i for i, _ in rows]
    for place, (_, row) in zip(at, rows, strict=True):
        if row.finish is None:
            accept(row, *values[place])
