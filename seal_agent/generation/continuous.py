"""Continuous batching: rows join a batch that is being decoded, and leave it when they are finished.

Each row has an adapter and sampling of its own, and says what `HFEngine.generate` says of it alone. Rows join one batch
where the model keeps keys and values of every position and padding changes nothing; other models decode the rows that
came together as a batch of their own, all batches in turn, one token each. On a GPU they take seats in fixed memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from seal_agent.base_model.graphs import recorder_for
from seal_agent.base_model.heap import give_back
from seal_agent.base_model.model import BaseModel
from seal_agent.generation.batching import Together, decoding_of, groups_of
from seal_agent.generation.constraints import constrain
from seal_agent.generation.decoding_state import DecodingState, padded_left
from seal_agent.generation.hf import MAX_BATCH_ROWS, HFEngine
from seal_agent.generation.rows import LiveRow
from seal_agent.generation.sampling import choose_tokens
from seal_agent.generation.static.seats import Seating, can_be_seated
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.lora.serving import AdapterStack, ServingRoute
from seal_agent.types import Completion, Prompt, Sampling

GIVE_BACK_EVERY = 256  # steps of a batch that never ends; not tuned
_UNFINISHED_CHARACTER = "\ufffd"


class ContinuousEngine(HFEngine):
    """HFEngine with a batch that rows join at any time. `live_row` may be called by any thread, the rest by one."""

    def __init__(self, base: BaseModel, max_rows: int = MAX_BATCH_ROWS, static: bool | None = None) -> None:
        super().__init__(base, max_rows, static)
        self._stack = AdapterStack(base.module, base.device, base.dtype)
        self._running: list[_Batch] = []
        self._seating: Seating | None = None
        self._steps_taken = 0

    @property
    def live(self) -> int:
        """How many rows are being decoded."""
        seated = self._seating.live if self._seating else 0
        return seated + sum(len(batch.rows) for batch in self._running)

    def live_row(
        self, prompt: Prompt, sampling: Sampling, adapter: LoraAdapter | None = None, index: int = 0, top: int = 0
    ) -> LiveRow:
        """A row that may join. Raises InputError as `generate` does.

        Args:
            index: Its place among several of the same prompt, which its seed depends on.
            top: How many alternatives are kept of every token.
        """
        return LiveRow(self._row(index, prompt, sampling, adapter), sampling, top)

    @torch.inference_mode()
    def join(self, rows: Sequence[LiveRow]) -> None:
        """Read the prompts of these rows; from the next step on they are decoded with the others."""
        if self._static_decoder() is not None:
            rows = self._seat(rows)
        by_row = {id(live.row): live for live in rows}
        for decoded_together in self._batches([live.row for live in rows]):
            batch = _Batch(self, [by_row[id(row)] for row in decoded_together])
            host = next((other for other in self._running if other.takes(batch)), None)
            if host is None:
                self._running.append(batch)
            else:
                host.join(batch)

    @torch.inference_mode()
    def step(self) -> list[LiveRow]:
        """Decode one token of every live row; returns these rows. Finished ones are no longer live."""
        stepped = self._seating.step() if self._seating else []
        for batch in self._running:
            batch.drop_left()
            stepped += batch.step()
        going_on = [batch for batch in self._running if batch.rows]
        self._steps_taken += 1
        if len(going_on) < len(self._running) or self._steps_taken % GIVE_BACK_EVERY == 0:
            give_back()
        self._running = going_on
        return stepped

    def clear(self) -> list[LiveRow]:
        """Give all live rows up, as after an error; returns them."""
        rows = [live for batch in self._running for live in batch.rows]
        rows += self._seating.clear() if self._seating else []
        self._running = []
        return rows

    def new_text(self, live: LiveRow) -> str:
        """What can be shown of a row's text and was not yet: it begins no stop string and ends in no half character."""
        text = self._text(live.row)
        held_back = 0 if live.finished else max((len(stop) for stop in live.row.stop), default=0)
        end = max(live.sent, len(text) - held_back)
        if text.endswith(_UNFINISHED_CHARACTER) and not live.finished:
            return ""
        new, live.sent = text[live.sent : end], end
        return new

    def completion(self, live: LiveRow) -> Completion:
        """What a finished row has become."""
        return self._completion(live.row)

    def _seat(self, rows: Sequence[LiveRow]) -> list[LiveRow]:
        """Let rows decode in fixed memory, as far as they can; returns the others."""
        if self._seating is None:
            recorder = recorder_for(self.base.device)
            self._seating = Seating(self.base, self.max_rows, self._prefill, self._write_down, recorder)
        seated = self._seating.take([live for live in rows if can_be_seated(live)])
        return [live for live in rows if id(live) not in seated]

    def _write_down(self, live: LiveRow, token: int, logprob: float) -> None:
        row = live.row
        row.generated.append(token)
        row.logprobs.append(logprob)
        grammar_ended = row.constraint is not None and row.constraint.advance(token)
        if grammar_ended or self._stopped(row):
            row.finish = "stop"
        elif len(row.generated) >= live.sampling.max_tokens:
            row.finish = "length"


class _Batch:
    """Rows that are decoded together, with the logits of the next token of each."""

    def __init__(self, engine: ContinuousEngine, rows: list[LiveRow]) -> None:
        self._engine, self.rows = engine, rows
        base = engine.base
        decoding = decoding_of(base)
        self._state = DecodingState(base.module, decoding.cache)
        self._joinable = self._state.shares_prefixes and decoding.together is Together.PADDED
        self._route = self._new_route()
        self._logits_BV, self._mask_BT = engine._prefill([live.row for live in rows], self._state, self._route)

    def takes(self, other: _Batch) -> bool:
        """Whether the rows of another batch may join this one."""
        adapters = [live.row.adapter for live in (*self.rows, *other.rows)]
        return self._joinable and bool(self.rows) and len(groups_of(self._engine.base, adapters)) == 1

    def join(self, other: _Batch) -> None:
        length = max(self._mask_BT.shape[1], other._mask_BT.shape[1])
        self._state.join(other._state)
        self._mask_BT = torch.cat([padded_left(self._mask_BT, length), padded_left(other._mask_BT, length)])
        self._logits_BV = torch.cat([self._logits_BV, other._logits_BV])
        self.rows = [*self.rows, *other.rows]
        self._route = self._new_route()

    def drop_left(self) -> None:
        """Let rows go whose readers have left."""
        if any(live.left for live in self.rows):
            self._select([i for i, live in enumerate(self.rows) if not live.left])

    def step(self) -> list[LiveRow]:
        if not self.rows:
            return []
        stepped, tokens_B = self.rows, self._choose()
        ids_BT = tokens_B[:, None]
        if keep := [i for i, live in enumerate(stepped) if not live.finished]:
            ids_BT = ids_BT[torch.tensor(keep, device=ids_BT.device)]
        self._select(keep)
        if self.rows:
            self._mask_BT = torch.cat([self._mask_BT, self._mask_BT.new_ones(len(self.rows), 1)], dim=1)
            self._logits_BV = self._engine._forward(ids_BT, self._mask_BT, self._state, self._route)
        return stepped

    def _choose(self) -> Tensor:
        """The next token of each row, by its own sampling; writes it down."""
        constrained_BV = constrain(self._logits_BV, [live.row.constraint for live in self.rows])
        tokens_B = constrained_BV.argmax(dim=-1)
        for indices in self._by_sampling():
            index = torch.tensor(indices, device=tokens_B.device)
            generators = [self.rows[i].row.generator for i in indices]
            tokens_B[index] = choose_tokens(constrained_BV[index], self.rows[indices[0]].sampling, generators)
        logsum_B = self._logits_BV.logsumexp(1)
        logprobs_B = self._logits_BV.gather(1, tokens_B[:, None]).squeeze(1) - logsum_B
        for i, (token, logprob) in enumerate(zip(tokens_B.tolist(), logprobs_B.tolist(), strict=True)):
            if top := self.rows[i].top:
                values, ids = self._logits_BV[i].topk(min(top, self._logits_BV.shape[1]))
                pairs = zip(ids.tolist(), (values - logsum_B[i]).tolist(), strict=True)
                self.rows[i].alternatives.append(tuple(pairs))
            self._engine._write_down(self.rows[i], token, logprob)
        return tokens_B

    def _by_sampling(self) -> Iterator[list[int]]:
        """Indices of the rows whose tokens are drawn, those with the same sampling together."""
        groups: dict[tuple[float, float], list[int]] = {}
        for i, live in enumerate(self.rows):
            if live.sampling.temperature:
                groups.setdefault((live.sampling.temperature, live.sampling.top_p), []).append(i)
        yield from groups.values()

    def _select(self, keep: list[int]) -> None:
        """Keep these rows, and none of the padding that only others needed."""
        if len(keep) == len(self.rows):
            return
        self.rows = [self.rows[i] for i in keep]
        if not keep:
            return
        index = torch.tensor(keep, device=self._mask_BT.device)
        self._state.select_rows(index)
        self._route = self._route and self._route.select_rows(index)
        self._mask_BT, self._logits_BV = self._mask_BT[index], self._logits_BV[index]
        if self._joinable:
            padding = int(self._mask_BT.argmax(dim=1).min())
            self._state.drop_first(padding)
            self._mask_BT = self._mask_BT[:, padding:]

    def _new_route(self) -> ServingRoute | None:
        return self._engine._stack.route([live.row.adapter for live in self.rows])
