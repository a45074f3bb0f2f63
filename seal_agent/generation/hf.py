"""The transformers engine: batched decoding with a KV cache, each row with its own adapter."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Sequence
from functools import partial
from itertools import accumulate, takewhile

import torch
from torch import Tensor

from seal_agent.base_model.graphs import recorder_for
from seal_agent.base_model.heap import give_back
from seal_agent.base_model.model import BaseModel
from seal_agent.errors import InputError
from seal_agent.generation.batching import (
    batches_of,
    decoding_of,
    groups_of,
    may_join,
    may_share,
    most_positions,
    reading_of,
)
from seal_agent.generation.constraints import Constraint, constrain
from seal_agent.generation.decoding_state import DecodingState, last_logits
from seal_agent.generation.engine import before_stop
from seal_agent.generation.pictures import pictures_of
from seal_agent.generation.prefixes import SharedPrefixes, group_by_prefix
from seal_agent.generation.rows import (
    DecodingRow,
    ForcedRow,
    check_forced,
    check_room,
    ids_of,
    one_per_prompt,
    pad_left,
)
from seal_agent.generation.sampling import branch_off, check_sampling, choose_tokens, seed_of_row
from seal_agent.generation.static.decoder import StaticDecoder
from seal_agent.generation.static.trial import decodes_in_place
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.lora.routing import routed
from seal_agent.lora.serving import ServingRoute, SingleAdapterCache, serving_route
from seal_agent.progress import Progress
from seal_agent.types import Completion, Grammar, Illustrated, Prompt, Sampling, SoftLabel

MAX_BATCH_ROWS = 32  # beyond this, decoding on a CPU gains little and memory grows
# Of one pass of `score` and `soft_labels`: positions with logits, and fewer where their logits would take more bytes.
MAX_SCORED_TOKENS = 1024
MAX_SCORED_BYTES = 256 << 20
MAX_READ_TOKENS = 8192  # of one pass of `score` and `soft_labels`: input tokens, padding included
_UNFINISHED_CHARACTER = "\ufffd"


class HFEngine:
    """Implements Engine on a BaseModel. Reentrant: adapters belong to the call, not to the model."""

    def __init__(self, base: BaseModel, max_rows: int = MAX_BATCH_ROWS, static: bool | None = None) -> None:
        """The engine of a model.

        Args:
            base: The model.
            max_rows: Rows that are decoded at once.
            static: Decode in fixed memory, as far as the model can; None: on GPUs, where launches cost most.
        """
        self.base = base
        self.max_rows = max_rows
        self._adapter_cache = SingleAdapterCache()
        self._static_wanted = base.device.type == "cuda" if static is None else static
        self._static: StaticDecoder | None = None

    def generate(
        self,
        prompts: Sequence[Prompt],
        sampling: Sampling,
        adapters: Sequence[LoraAdapter | None] | None = None,
        progress: Progress | None = None,
        grammars: Sequence[Grammar | None] | None = None,
    ) -> list[Completion]:
        adapters = one_per_prompt("adapters", adapters, prompts)
        grammars = one_per_prompt("grammars", grammars, prompts)
        rows = [
            self._row(index, prompt, sampling, adapter, grammar)
            for index, (prompt, adapter, grammar) in enumerate(zip(prompts, adapters, grammars, strict=True))
        ]
        self._decode_all(rows, sampling, progress)
        return [self._completion(row) for row in rows]

    def branches(
        self,
        prompts: Sequence[Prompt],
        sampling: Sampling,
        count: int,
        adapters: Sequence[LoraAdapter | None] | None = None,
        progress: Progress | None = None,
        *,
        least: float = 0.0,
    ) -> list[list[Completion]]:
        if sampling.temperature or sampling.grammar or count < 1:
            raise InputError("branches are greedy and free: temperature 0, no grammar, and a count of at least 1")
        adapters = one_per_prompt("adapters", adapters, prompts)
        of_prompts = [
            [self._row(index, prompt, sampling, adapter) for _ in range(count)]
            for index, (prompt, adapter) in enumerate(zip(prompts, adapters, strict=True))
        ]
        for rows in of_prompts:
            for branch, row in enumerate(rows):
                row.branch = branch
        every = [row for rows in of_prompts for row in rows]
        self._decode_all(every, sampling, progress and (lambda done, _: progress(done // count, len(prompts))), least)
        return [[self._completion(row) for row in rows if not row.dropped] for rows in of_prompts]

    def stream(
        self, prompt: Prompt, sampling: Sampling, adapter: LoraAdapter | None = None
    ) -> Generator[str, None, Completion]:
        row, sent_length = self._row(0, prompt, sampling, adapter), 0
        longest_stop = max((len(s) for s in row.stop), default=0)
        for _ in self._steps([row], sampling):
            text = self._text(row)
            safe_length = len(text) if row.finish else len(text) - longest_stop
            if safe_length > sent_length and not (text.endswith(_UNFINISHED_CHARACTER) and not row.finish):
                yield text[sent_length:safe_length]
                sent_length = safe_length
        if len(text := self._text(row)) > sent_length:
            yield text[sent_length:]
        return self._completion(row)

    def score(
        self,
        prompts: Sequence[Prompt],
        continuations: Sequence[str],
        adapters: Sequence[LoraAdapter | None] | None = None,
    ) -> list[tuple[float, ...]]:
        continuation_ids = [self.base.content_ids(text) for text in continuations]
        scores: list[tuple[float, ...]] = [()] * len(continuation_ids)
        for i, logits_LV in self._continuation_logits(prompts, continuation_ids, adapters):
            ids_L1 = torch.tensor(continuation_ids[i], device=logits_LV.device)[:, None]
            scores[i] = tuple((logits_LV.gather(1, ids_L1).squeeze(1) - logits_LV.logsumexp(1)).tolist())
        return scores

    def soft_labels(
        self,
        prompts: Sequence[Prompt],
        continuations: Sequence[Sequence[int]],
        top: int,
        adapters: Sequence[LoraAdapter | None] | None = None,
    ) -> list[tuple[SoftLabel, ...]]:
        labels: list[tuple[SoftLabel, ...]] = [()] * len(continuations)
        for i, logits_LV in self._continuation_logits(prompts, continuations, adapters):
            top_logits_LJ, tokens_LJ = logits_LV.topk(min(top, logits_LV.shape[1]))
            positions = zip(tokens_LJ.tolist(), top_logits_LJ.softmax(1).tolist(), strict=True)
            labels[i] = tuple(SoftLabel(tuple(tokens), tuple(probabilities)) for tokens, probabilities in positions)
        return labels

    @torch.inference_mode()
    def _continuation_logits(
        self,
        prompts: Sequence[Prompt],
        continuations: Sequence[Sequence[int]],
        adapters: Sequence[LoraAdapter | None] | None,
    ) -> Iterator[tuple[int, Tensor]]:
        """Yield the index of each continuation that has tokens, and its float32 logits, L×V."""
        adapters = one_per_prompt("adapters", adapters, prompts)
        if len(continuations) != len(prompts):
            raise InputError(f"{len(prompts)} prompts but {len(continuations)} continuations; give one for each")
        rows = [self._forced_row(*row) for row in zip(prompts, continuations, adapters, strict=True)]
        for group in groups_of(self.base, adapters):
            pending = sorted((i for i in group if rows[i].continuation_ids), key=lambda i: -len(rows[i]))
            while pending:
                size = self._batch_size([rows[i] for i in pending[: self.max_rows]])
                batch, pending = pending[:size], pending[size:]
                yield from zip(batch, self._logits_of([rows[i] for i in batch]), strict=True)
                give_back()

    def _batch_size(self, rows: Sequence[ForcedRow]) -> int:
        """How many of these rows, longest first, one pass takes within the bounds above."""
        together, longest = reading_of(self.base), len(rows[0])  # refuses what cannot be read right
        if len(rows) == 1:
            return 1
        bytes_each = len(self.base.tokenizer) * torch.float32.itemsize
        scored = min(MAX_SCORED_TOKENS, MAX_SCORED_BYTES // bytes_each)
        longest_continuations = accumulate((len(row.continuation_ids) for row in rows), max)
        fits = (
            count * continuation <= scored
            and count * longest <= MAX_READ_TOKENS
            and may_join(len(rows[count - 1]), longest, together)
            for count, continuation in enumerate(longest_continuations, 1)
        )
        return max(1, sum(takewhile(bool, fits)))

    def _forced_row(self, prompt: Prompt, continuation: Sequence[int], adapter: LoraAdapter | None) -> ForcedRow:
        prompt_ids = ids_of(self.base, prompt, adapter)
        row = ForcedRow(prompt_ids, list(continuation), adapter, pictures_of(self.base, prompt_ids))
        check_forced(len(row), self.base.window)
        return row

    def _logits_of(self, rows: Sequence[ForcedRow]) -> list[Tensor]:
        longest = max(len(row.continuation_ids) for row in rows)
        ids_BT, mask_BT = pad_left(
            [row.prompt_ids + row.continuation_ids for row in rows], self.base.pad_id, self.base.device
        )
        route = serving_route(self.base.module, [row.adapter for row in rows], self.base.device, self.base.dtype)
        with routed(route):
            logits_BLV = last_logits(self.base.module, ids_BT, mask_BT, longest + 1)[:, :-1]
        return [
            logits_LV[longest - len(row.continuation_ids) :].float()
            for row, logits_LV in zip(rows, logits_BLV, strict=True)
        ]

    # ------------------------------------------------------------ rows

    def _row(
        self,
        index: int,
        prompt: Prompt,
        sampling: Sampling,
        adapter: LoraAdapter | None,
        grammar: Grammar | None = None,
    ) -> DecodingRow:
        check_sampling(sampling)
        prompt_ids = ids_of(self.base, prompt, adapter)
        check_room(len(prompt_ids), sampling.max_tokens, self.base.window)
        chat_stops = () if isinstance(prompt, str | Illustrated) else self.base.stop_strings
        generator = torch.Generator(self.base.device).manual_seed(seed_of_row(sampling.seed, index))
        grammar = grammar or sampling.grammar
        constraint = Constraint(self.base, grammar, sampling.max_tokens) if grammar else None
        stops, pictures = (*sampling.stop, *chat_stops), pictures_of(self.base, prompt_ids)
        return DecodingRow(prompt_ids, adapter, stops, generator, constraint, pictures=pictures)

    def _text(self, row: DecodingRow) -> str:
        """The text generated so far, cut before the first stop string."""
        text: str = self.base.tokenizer.decode(row.generated, skip_special_tokens=True)
        return before_stop(text, row.stop)

    def _completion(self, row: DecodingRow) -> Completion:
        text, tokens, prompt_tokens = self._text(row), len(row.generated), len(row.prompt_ids)
        return Completion(text, tokens, prompt_tokens, row.finish or "length", tuple(row.logprobs))

    def _stopped(self, row: DecodingRow) -> bool:
        if row.generated[-1] in self.base.stop_ids:
            return True
        if not row.stop:
            return False
        # A stop string has at most one token per byte. A tail may begin inside a character: the whole decides.
        tail = row.generated[-(4 + max(len(stop.encode()) for stop in row.stop)) :]
        return self._has_stop(tail, row.stop) and self._has_stop(row.generated, row.stop)

    def _has_stop(self, ids: Sequence[int], stops: Sequence[str]) -> bool:
        text = self.base.tokenizer.decode(ids, skip_special_tokens=True)
        return any(stop in text for stop in stops)

    # ------------------------------------------------------------ decoding

    def _groups(self, rows: Sequence[DecodingRow]) -> list[list[DecodingRow]]:
        """Rows whose adapters may be used together."""
        if not rows:
            return []
        return [[rows[i] for i in group] for group in groups_of(self.base, [row.adapter for row in rows])]

    def _batches(self, rows: Sequence[DecodingRow], max_new_tokens: int = 0) -> list[list[DecodingRow]]:
        """Rows that are decoded together, by length of prompt; their cache is bounded (`most_positions`)."""
        together, most = decoding_of(self.base).together, most_positions(self.base)
        batches = []
        for group in self._groups(rows):
            lengths = [len(row.prompt_ids) + max_new_tokens for row in group]
            batches += [[group[i] for i in batch] for batch in batches_of(lengths, together, self.max_rows, most)]
        return batches

    def _decode_all(
        self, rows: Sequence[DecodingRow], sampling: Sampling, progress: Progress | None, least: float = 0.0
    ) -> None:
        """Decode rows to their ends, in batches as far as they are decoded in batches."""
        finished = reported = 0
        in_place = self._static_decoder() is not None  # there, rows join while others finish
        for batch in self._groups(rows) if in_place else self._batches(rows, sampling.max_tokens):
            for _ in self._steps(batch, sampling, least):
                done = finished + sum(row.finish is not None for row in batch)
                if progress and done > reported and len(batch) > self.max_rows:
                    progress(done, len(rows))
                    reported = done
            finished += len(batch)
            if progress and finished > reported:
                progress(finished, len(rows))
                reported = finished

    def _steps(self, rows: list[DecodingRow], sampling: Sampling, least: float = 0.0) -> Iterator[None]:
        """Decode rows; yields after every token. In fixed memory, unless a grammar or another call is in the way.

        Positions behind a picture may not count tokens, which fixed memory takes for granted.
        """
        static = self._static_decoder()
        hindered = any(row.constraint or row.pictures for row in rows)
        if static is not None and not hindered and static.lock.acquire(blocking=False):
            try:
                yield from static.decode(rows, sampling, partial(self._accept, sampling=sampling, least=least))
            finally:
                static.lock.release()
        yield from self._decode_in_batches([row for row in rows if row.finish is None], sampling, least)

    def _static_decoder(self) -> StaticDecoder | None:
        """The decoder in fixed memory, where it is wanted and the model can; made on the first call."""
        if self._static is None and self._static_wanted:
            self._static_wanted = decodes_in_place(self.base)
            if self._static_wanted:
                recorder = recorder_for(self.base.device)
                self._static = StaticDecoder(self.base, self.max_rows, self._prefill, recorder)
        return self._static

    def _decode_in_batches(self, rows: list[DecodingRow], sampling: Sampling, least: float) -> Iterator[None]:
        for batch in self._batches(rows, sampling.max_tokens):
            try:
                yield from self._decode(batch, sampling, least)
            finally:
                give_back()

    @torch.inference_mode()
    def _decode(self, rows: list[DecodingRow], sampling: Sampling, least: float = 0.0) -> Iterator[None]:
        """Decode until every row is finished; yields after every token. Finished rows leave the batch.

        Branches are dropped where their first token has a probability below `least`.
        """
        active, state = list(rows), DecodingState(self.base.module, decoding_of(self.base).cache)
        route = self._route(active)
        logits_BV, mask_BT = self._prefill(active, state, route)
        while True:
            constrained_BV = constrain(logits_BV, [row.constraint for row in active])
            tokens_B = choose_tokens(constrained_BV, sampling, [row.generator for row in active])
            if not active[0].generated:
                tokens_B = branch_off(logits_BV, tokens_B, [row.branch for row in active])
            logprobs_B = logits_BV.gather(1, tokens_B[:, None]).squeeze(1) - logits_BV.logsumexp(1)
            for row, token, logprob in zip(active, tokens_B.tolist(), logprobs_B.tolist(), strict=True):
                self._accept(row, token, logprob, sampling, least)
            yield
            keep = [i for i, row in enumerate(active) if row.finish is None]
            if not keep:
                return
            ids_BT = tokens_B[:, None]
            if len(keep) < len(active):
                active = [active[i] for i in keep]
                index = torch.tensor(keep, device=self.base.device)
                state.select_rows(index)
                ids_BT, mask_BT, route = ids_BT[index], mask_BT[index], route and route.select_rows(index)
            mask_BT = torch.cat([mask_BT, mask_BT.new_ones(len(active), 1)], dim=1)
            logits_BV = self._forward(ids_BT, mask_BT, state, route)

    def _accept(self, row: DecodingRow, token: int, logprob: float, sampling: Sampling, least: float) -> None:
        """Add a token to a row, and finish the row where it was the last."""
        row.generated.append(token)
        row.logprobs.append(logprob)
        row.dropped = row.branch > 0 and len(row.generated) == 1 and math.exp(logprob) < least
        grammar_ended = row.constraint is not None and row.constraint.advance(token)
        if row.dropped or grammar_ended or self._stopped(row):
            row.finish = "stop"
        elif len(row.generated) >= sampling.max_tokens:
            row.finish = "length"

    def _prefill(
        self, rows: Sequence[DecodingRow], state: DecodingState, route: ServingRoute | None
    ) -> tuple[Tensor, Tensor]:
        """Read the prompts, shared prefixes only once. Returns logits B×V and attention mask B×T."""
        device, prefix_mask_BP = self.base.device, None
        suffixes = [row.prompt_ids for row in rows]
        if groups := self._shared_prefixes(rows, state):
            first_row_G = torch.tensor(groups.first_row_of_group)
            group_B = torch.tensor(groups.group_of_row, device=device)
            prefixes = [suffixes[i][:n] for i, n in zip(first_row_G.tolist(), groups.length_of_group, strict=True)]
            ids_GP, mask_GP = pad_left(prefixes, self.base.pad_id, device)
            self._forward(ids_GP, mask_GP, state, route and route.select_rows(first_row_G.to(device)))
            state.select_rows(group_B)
            prefix_mask_BP = mask_GP[group_B]
            suffixes = [ids[length:] for ids, length in zip(suffixes, groups.length_of_row, strict=True)]
        ids_BT, mask_BT = pad_left(suffixes, self.base.pad_id, device)
        if prefix_mask_BP is not None:
            mask_BT = torch.cat([prefix_mask_BP, mask_BT], dim=1)
        return self._forward(ids_BT, mask_BT, state, route), mask_BT

    def _shared_prefixes(self, rows: Sequence[DecodingRow], state: DecodingState) -> SharedPrefixes | None:
        """The prefixes that are read once for several rows; None where that saves little, or would change answers."""
        # A picture whose tokens see each other must be read in one piece.
        whole = any(row.pictures for row in rows) and self.base.sight.looks_both_ways
        if whole or not state.shares_prefixes:
            return None
        groups = group_by_prefix([(id(row.adapter), row.prompt_ids) for row in rows])
        if groups is None:
            return None
        suffixes = [len(row.prompt_ids) - length for row, length in zip(rows, groups.length_of_row, strict=True)]
        return groups if may_share(self.base, groups.length_of_group, suffixes) else None

    def _forward(self, ids_BT: Tensor, mask_BT: Tensor, state: DecodingState, route: ServingRoute | None) -> Tensor:
        """Logits of the last position in float32, B×V."""
        with routed(route):
            return state.read(ids_BT, mask_BT)

    def _route(self, rows: Sequence[DecodingRow]) -> ServingRoute | None:
        """The route of these rows, through the adapter of each."""
        base, adapters = self.base, [row.adapter for row in rows]
        return serving_route(base.module, adapters, base.device, base.dtype, self._adapter_cache)
