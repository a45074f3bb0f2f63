"""Decodes on a GPU: a step of all rows is one replay, rows join while others finish, and the host reads one step late.

A row that has finished is seen to be so one step later; what was written for it by then is dropped.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from seal_agent.base_model.graphs import Recorder, Recordings, Replay, on_device, release_memory
from seal_agent.base_model.model import BaseModel
from seal_agent.generation.rows import DecodingRow
from seal_agent.generation.static.attention import use_row_attention
from seal_agent.generation.static.joining import (
    Joining,
    Prefill,
    allocated,
    is_by_row,
    join,
    positions_for,
    room_on,
    rows_that_fit,
)
from seal_agent.generation.static.rows import RowSizes, StaticRows, TokenReading
from seal_agent.generation.static.sampling import DRAWS, is_greedy
from seal_agent.lora.resident import ResidentAdapters
from seal_agent.types import Sampling

Accept = Callable[[DecodingRow, int, float], None]

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
        self._base, self._max_rows, self._prefill = base, max_rows, prefill
        self._recordings = Recordings(recorder, "decoding")
        self._residents = ResidentAdapters(base.module, base.device, base.dtype)
        self._kept: dict[RowSizes, _Kept] = {}
        self.lock = threading.Lock()
        use_row_attention(base)

    @property
    def recordings(self) -> int:
        """Steps that can be replayed."""
        return sum(kept.replay is not None for kept in self._kept.values())

    @torch.inference_mode()
    def decode(self, rows: Sequence[DecodingRow], sampling: Sampling, accept: Accept) -> Iterator[None]:
        """Decode rows until they are finished; yields after every step.

        Rows that do not fit into memory, alone or with their adapters, are left as they were.

        Args:
            rows: Prompts; none is constrained by a grammar.
            sampling: For all of them.
            accept: Adds a token and its log-probability to a row, and says whether it was the last.
        """
        adapters = [row.adapter for row in rows]
        if not all(is_by_row(self._base, adapter) for adapter in adapters):
            return
        places = self._residents.places_of(adapters, room_on(self._base.device))
        if places is None:
            return
        place_of = {id(adapter): place for adapter, place in zip(adapters, places, strict=True)}
        kept = self._rows_for(rows, sampling, any(adapter is not None for adapter in adapters))
        if kept is not None:
            yield from self._run(kept, rows, sampling, accept, place_of)

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
        while waiting or any(seats) or unread:
            free = [i for i, seat in enumerate(seats) if seat is None]
            if waiting and (len(free) == len(seats) or len(free) >= JOIN_SHARE * len(seats)):
                joining = [Joining(i, waiting.popleft(), sampling) for i in free[: len(waiting)]]
                first = self._join(kept, joining, place_of)
                if first is None:  # those that have seats go on alone
                    waiting.clear()
                else:
                    unread.append(([(one.seat, one.row) for one in joining], first))
                    for one in joining:
                        seats[one.seat] = _Writing(one.row)
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

    def _rows_for(self, rows: Sequence[DecodingRow], sampling: Sampling, adapted: bool) -> _Kept | None:
        """Memory for these rows, kept or new; None where there is none, even without what is kept for other sizes."""
        longest = max(len(row.prompt_ids) for row in rows) + sampling.max_tokens
        positions = positions_for(longest, self._base.window)
        sizes = RowSizes(
            rows=min(self._max_rows, 1 << (len(rows) - 1).bit_length(), rows_that_fit(self._base, positions)),
            positions=positions,
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
        made = allocated(self._base, sizes, self._residents)
        if made is None:
            self._make_room()
            made = allocated(self._base, sizes, self._residents)
        return made

    def _join(self, kept: _Kept, joining: Sequence[Joining], place_of: dict[int, int]) -> TokenReading | None:
        """The first tokens of rows that join; None where there is no memory to read their prompts."""
        try:
            return join(self._base, self._prefill, kept.rows, joining, place_of)
        except torch.OutOfMemoryError:
            pass  # its traceback holds tensors until the end of this block
        self._make_room()
        return None

    def _make_room(self) -> None:
        """Keep no memory for later calls; the present one has its own."""
        self._kept.clear()
        release_memory()

    def _step(self, kept: _Kept) -> TokenReading:
        """Write a token of every row."""
        with on_device(self._base.device):
            self._write(kept)
            return TokenReading(kept.rows.tokens_B, kept.rows.logprobs_B)

    def _write(self, kept: _Kept) -> None:
        kept.steps += 1
        if kept.steps == 2:  # the first one warmed up
            kept.replay = self._recordings.of(kept.rows.step)
        (kept.replay or kept.rows.step)()


def _leave(seats: list[_Writing | None], max_tokens: int) -> None:
    """Rows for which the last token was launched leave their seats; it is read later."""
    for i, seat in enumerate(seats):
        if seat is not None and seat.launched >= max_tokens:
            seats[i] = None


def _read(rows: Sequence[tuple[int, DecodingRow]], reading: TokenReading, accept: Accept) -> None:
    for row, token, logprob in reading.of(rows):
        if row.finish is None:
            accept(row, token, logprob)
