"""Rows that come and go in fixed memory, each with an adapter and sampling of its own.

So `seal serve` decodes on a GPU. Rows of similar length share a table of seats, whose step is one replay. The host
reads one step late, as in decoder.py: what was written for a row after its end is dropped.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from seal_agent.base_model.graphs import Recorder, Recordings, Replay, on_device, release_memory
from seal_agent.base_model.model import BaseModel
from seal_agent.generation.rows import LiveRow
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
from seal_agent.generation.static.sampling import DRAWS, draws_of, is_greedy
from seal_agent.lora.resident import ResidentAdapters

WriteDown = Callable[[LiveRow, int, float], None]

MIN_SEATS = 8
MAX_LONGER = 2  # times its own positions that a row's table has: each token costs a pass over all. Not tuned
MAX_IDLE = 2  # tables without rows whose memory and recordings are kept for the next ones; not tuned


def can_be_seated(live: LiveRow) -> bool:
    """Whether a row's tokens can be chosen on the device, and its positions count tokens."""
    return not (live.row.constraint or live.row.pictures or live.top)


class Seating:
    """Tables of seats for rows of one model. One thread uses it."""

    def __init__(
        self, base: BaseModel, max_rows: int, prefill: Prefill, write_down: WriteDown, recorder: Recorder | None
    ) -> None:
        """`write_down` adds a token and its log-probability to a row, and says in the row whether it was the last."""
        self._base, self._max_rows, self._prefill, self._write_down = base, max_rows, prefill, write_down
        self._residents = ResidentAdapters(base.module, base.device, base.dtype)
        self._recordings = Recordings(recorder, "decoding")
        self._tables: list[_Table] = []
        use_row_attention(base)

    @property
    def live(self) -> int:
        """How many rows are being decoded."""
        return len(self._rows())

    def take(self, rows: Sequence[LiveRow]) -> set[int]:
        """Give rows seats and read their prompts; returns the ids of the rows that have one.

        Left out are rows whose adapters or caches do not fit into memory, and those with adapters of experts.
        """
        rows = [live for live in rows if is_by_row(self._base, live.row.adapter)]
        adapters = [live.row.adapter for live in (*self._rows(), *rows)]
        places = self._residents.places_of(adapters, room_on(self._base.device)) if rows else None
        if places is None:
            return set()
        place_of = {id(adapter): place for adapter, place in zip(adapters, places, strict=True)}
        by_positions: dict[int, list[LiveRow]] = {}
        for live in rows:
            longest = len(live.row.prompt_ids) + live.sampling.max_tokens
            by_positions.setdefault(positions_for(longest, self._base.window), []).append(live)
        seated: set[int] = set()
        for positions, waiting in sorted(by_positions.items()):
            adapted = any(live.row.adapter is not None for live in waiting)
            while waiting and (table := self._table_for(positions, len(waiting), adapted)):
                joining, waiting = waiting[: table.free], waiting[table.free :]
                if not self._join(table, joining, place_of):
                    break
                seated |= {id(live) for live in joining}
        return seated

    def step(self) -> list[LiveRow]:
        """Launch a token of every row, and write the one before down; returns the rows that got one."""
        stepped = {id(live): live for table in self._tables for live in table.step(self._recordings, self._write_down)}
        return list(stepped.values())

    def clear(self) -> list[LiveRow]:
        """Give all rows and all memory up, as after an error; returns the rows."""
        rows, self._tables = self._rows(), []
        return rows

    def _rows(self) -> list[LiveRow]:
        return [live for table in self._tables for live in table.live]

    def _table_for(self, positions: int, rows: int, adapted: bool) -> _Table | None:
        """A table with free seats for rows of this many positions; None where there is no memory.

        A much longer one is taken only where no other can be made.
        """
        version = self._residents.version
        table = self._shortest(positions, adapted)
        if table is not None and table.sizes.positions <= MAX_LONGER * positions:
            return table
        self._keep_idle([t for t in self._tables if t.is_idle and t.sizes.adapters in (0, version)][-MAX_IDLE:])
        seats = min(self._max_rows, max(MIN_SEATS, 1 << (rows - 1).bit_length()), rows_that_fit(self._base, positions))
        # With adapters where there are any, so that rows with and without them sit together.
        return self._made(RowSizes(seats, positions, DRAWS, version)) or self._shortest(positions, adapted)

    def _shortest(self, positions: int, adapted: bool) -> _Table | None:
        """The shortest table with free seats for rows of this many positions."""
        versions = (self._residents.version,) if adapted else (0, self._residents.version)
        fitting = [
            table
            for table in self._tables
            if table.free and table.sizes.positions >= positions and table.sizes.adapters in versions
        ]
        return min(fitting, key=lambda table: table.sizes.positions, default=None)

    def _made(self, sizes: RowSizes) -> _Table | None:
        static = allocated(self._base, sizes, self._residents)
        if static is None:
            self._make_room()
            static = allocated(self._base, sizes, self._residents)
        if static is None:
            return None
        self._tables.append(_Table(self._base, self._prefill, static))
        return self._tables[-1]

    def _join(self, table: _Table, rows: Sequence[LiveRow], place_of: Mapping[int, int]) -> bool:
        """Seat rows; False where there is no memory to read their prompts."""
        try:
            table.join(rows, place_of)
            return True
        except torch.OutOfMemoryError:
            pass  # its traceback holds tensors until the end of this block
        self._make_room()
        return False

    def _make_room(self) -> None:
        """Give up all memory that no row uses."""
        self._keep_idle([])
        release_memory()

    def _keep_idle(self, chosen: Sequence[_Table]) -> None:
        """Of tables without rows, keep these alone."""
        self._tables = [table for table in self._tables if not table.is_idle or table in chosen]


@dataclass(slots=True)
class _Seat:
    """A row and the tokens that were launched for it."""

    live: LiveRow
    launched: int = 1

    @property
    def is_done(self) -> bool:
        """Whether nothing more is to be launched for the row."""
        return self.live.finished or self.live.left or self.launched >= self.live.sampling.max_tokens


class _Table:
    """Seats of one size."""

    def __init__(self, base: BaseModel, prefill: Prefill, static: StaticRows) -> None:
        self._base, self._prefill, self._static = base, prefill, static
        self._seats: list[_Seat | None] = [None] * static.sizes.rows
        self._unread: deque[tuple[list[tuple[int, LiveRow]], TokenReading]] = deque()
        self._steps = {True: 0, False: 0}  # by whether all rows take the likeliest token
        self._replays: dict[bool, Replay | None] = {True: None, False: None}

    @property
    def sizes(self) -> RowSizes:
        return self._static.sizes

    @property
    def free(self) -> int:
        """Seats that are free."""
        return self._seats.count(None)

    @property
    def live(self) -> list[LiveRow]:
        """Rows for which tokens are written, or were and are not read yet."""
        rows = [seat.live for seat in self._seats if seat] + [live for of, _ in self._unread for _, live in of]
        return list({id(live): live for live in rows if not live.finished and not live.left}.values())

    @property
    def is_idle(self) -> bool:
        return not self.live

    def join(self, rows: Sequence[LiveRow], place_of: Mapping[int, int]) -> None:
        """Seat rows, at most as many as seats are free."""
        free = [i for i, seat in enumerate(self._seats) if seat is None]
        joining = [Joining(i, live.row, live.sampling) for i, live in zip(free, rows, strict=False)]
        first = join(self._base, self._prefill, self._static, joining, place_of)
        self._unread.append(([(one.seat, live) for one, live in zip(joining, rows, strict=True)], first))
        for one, live in zip(joining, rows, strict=True):
            self._seats[one.seat] = _Seat(live)

    def step(self, recordings: Recordings, write_down: WriteDown) -> list[LiveRow]:
        """Launch a token of every row; write down what was launched before. A row may come twice."""
        self._leave()
        if writing := [(i, seat) for i, seat in enumerate(self._seats) if seat]:
            for i, seat in writing:
                self._draw_more(i, seat)
            reading = self._launch(all(is_greedy(seat.live.sampling) for _, seat in writing), recordings)
            self._unread.append(([(i, seat.live) for i, seat in writing], reading))
            for _, seat in writing:
                seat.launched += 1
            self._leave()
        stepped: list[LiveRow] = []
        while len(self._unread) > (1 if any(self._seats) else 0):
            stepped += _written(*self._unread.popleft(), write_down)
            self._leave()
        return stepped

    def _leave(self) -> None:
        """Free the seats of rows for which nothing more is launched; their last tokens may be read later."""
        self._seats = [None if seat is None or seat.is_done else seat for seat in self._seats]

    def _draw_more(self, place: int, seat: _Seat) -> None:
        """New random numbers for a row that has used up its own."""
        if seat.launched % DRAWS == 0 and not is_greedy(seat.live.sampling):
            self._static.uniform_BW[place] = draws_of(seat.live.row.generator, DRAWS)
            self._static.drawn_B1[place] = 0

    def _launch(self, greedily: bool, recordings: Recordings) -> TokenReading:
        step = self._static.step_greedily if greedily else self._static.step
        with on_device(self._base.device):
            self._steps[greedily] += 1
            if self._steps[greedily] == 2:  # the first one warmed up
                self._replays[greedily] = recordings.of(step)
            (self._replays[greedily] or step)()
            return TokenReading(self._static.tokens_B, self._static.logprobs_B)


def _written(rows: Sequence[tuple[int, LiveRow]], reading: TokenReading, write_down: WriteDown) -> list[LiveRow]:
    """Write tokens down; returns the rows that got one."""
    got = [each for each in reading.of(rows) if not each[0].finished and not each[0].left]
    for live, token, logprob in got:
        write_down(live, token, logprob)
    return [live for live, _, _ in got]
