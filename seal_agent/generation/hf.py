"""The transformers engine: batched decoding with a KV cache, each row with its own adapter."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, takewhile
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor

from seal_agent.base_model.model import BaseModel
from seal_agent.errors import InputError
from seal_agent.generation.constraints import Constraint, constrain
from seal_agent.generation.engine import before_stop
from seal_agent.generation.prefixes import group_by_prefix
from seal_agent.generation.sampling import choose_tokens
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.lora.routing import routed
from seal_agent.lora.serving import ServingRoute, SingleAdapterCache, serving_route
from seal_agent.progress import Progress
from seal_agent.types import Completion, Grammar, Prompt, Sampling, SoftLabel

MAX_BATCH_ROWS = 32  # beyond this, decoding on a processor gains little and memory grows
MAX_SCORED_TOKENS = (
    1024  # logits held at once by `score` and `soft_labels`, in float32 a quarter of a gigabyte for 64k tokens
)
MAX_READ_TOKENS = 8192  # tokens, padding too, that one pass of `score` and `soft_labels` reads
_UNFINISHED_CHARACTER = "\ufffd"
_One = TypeVar("_One")


class HFEngine:
    """Implements Engine on a BaseModel. Reentrant: adapters live in the call, not in the model."""

    def __init__(self, base: BaseModel, max_rows: int = MAX_BATCH_ROWS) -> None:
        self.base = base
        self.max_rows = max_rows
        self._ready = SingleAdapterCache()

    def generate(
        self,
        prompts: Sequence[Prompt],
        sampling: Sampling,
        adapters: Sequence[LoraAdapter | None] | None = None,
        progress: Progress | None = None,
        grammars: Sequence[Grammar | None] | None = None,
    ) -> list[Completion]:
        adapters = _one_each("adapters", adapters, prompts)
        grammars = _one_each("grammars", grammars, prompts)
        rows = [
            self._row(index, prompt, sampling, adapter, grammar)
            for index, (prompt, adapter, grammar) in enumerate(zip(prompts, adapters, grammars, strict=True))
        ]
        by_length = sorted(rows, key=lambda row: len(row.prompt_ids))
        for start in range(0, len(by_length), self.max_rows):
            batch = by_length[start : start + self.max_rows]
            for _ in self._decode(batch, sampling):
                pass
            if progress:
                progress(min(start + self.max_rows, len(rows)), len(rows))
        return [self._completion(row) for row in rows]

    def stream(
        self, prompt: Prompt, sampling: Sampling, adapter: LoraAdapter | None = None
    ) -> Generator[str, None, Completion]:
        row, sent = self._row(0, prompt, sampling, adapter), 0
        longest_stop = max((len(s) for s in row.stop), default=0)
        for _ in self._decode([row], sampling):
            text = self._text(row)
            ready = len(text) if row.finish else len(text) - longest_stop
            if ready > sent and not (text.endswith(_UNFINISHED_CHARACTER) and not row.finish):
                yield text[sent:ready]
                sent = ready
        if len(text := self._text(row)) > sent:
            yield text[sent:]
        return self._completion(row)

    def score(
        self,
        prompts: Sequence[Prompt],
        continuations: Sequence[str],
        adapters: Sequence[LoraAdapter | None] | None = None,
    ) -> list[tuple[float, ...]]:
        tokenizer = self.base.tokenizer
        wanted = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in continuations]
        scores: list[tuple[float, ...]] = [()] * len(wanted)
        for i, logits_LV in self._predictions(prompts, wanted, adapters):
            own_L1 = torch.tensor(wanted[i], device=logits_LV.device)[:, None]
            scores[i] = tuple((logits_LV.gather(1, own_L1).squeeze(1) - logits_LV.logsumexp(1)).tolist())
        return scores

    def soft_labels(
        self,
        prompts: Sequence[Prompt],
        continuations: Sequence[Sequence[int]],
        top: int,
        adapters: Sequence[LoraAdapter | None] | None = None,
    ) -> list[tuple[SoftLabel, ...]]:
        labels: list[tuple[SoftLabel, ...]] = [()] * len(continuations)
        for i, logits_LV in self._predictions(prompts, continuations, adapters):
            best_LJ, tokens_LJ = logits_LV.topk(min(top, logits_LV.shape[1]))
            rows = zip(tokens_LJ.tolist(), best_LJ.softmax(1).tolist(), strict=True)
            labels[i] = tuple(SoftLabel(tuple(tokens), tuple(probabilities)) for tokens, probabilities in rows)
        return labels

    @torch.inference_mode()
    def _predictions(
        self,
        prompts: Sequence[Prompt],
        continuations: Sequence[Sequence[int]],
        adapters: Sequence[LoraAdapter | None] | None,
    ) -> Iterator[tuple[int, Tensor]]:
        """Of each continuation with a token, its number and the float32 logits of every token of it, L×V."""
        adapters = list(adapters) if adapters is not None else [None] * len(prompts)
        rows = [self._forced(*row) for row in zip(prompts, continuations, adapters, strict=True)]
        waiting = sorted((i for i, row in enumerate(rows) if row.wanted), key=lambda i: -len(rows[i]))
        while waiting:
            size = self._size([rows[i] for i in waiting[: self.max_rows]])
            batch, waiting = waiting[:size], waiting[size:]
            yield from zip(batch, self._logits_of([rows[i] for i in batch]), strict=True)

    def _size(self, rows: Sequence[_ForcedRow]) -> int:
        """How many of these rows, longest first, one pass takes within `MAX_SCORED_TOKENS` and `MAX_READ_TOKENS`."""
        wanted = accumulate((len(row.wanted) for row in rows), max)
        fits = (
            count * most <= MAX_SCORED_TOKENS and count * len(rows[0]) <= MAX_READ_TOKENS
            for count, most in enumerate(wanted, 1)
        )
        return max(1, sum(takewhile(bool, fits)))

    def _forced(self, prompt: Prompt, wanted: Sequence[int], adapter: LoraAdapter | None) -> _ForcedRow:
        ids = self.base.encode(prompt)
        if not ids:
            raise InputError("the prompt is empty; give the model something to continue")
        if len(ids) + len(wanted) > self.base.window:
            raise InputError(
                f"prompt and continuation have {len(ids) + len(wanted)} tokens, "
                f"but the model's window is {self.base.window}; shorten them"
            )
        return _ForcedRow(ids, list(wanted), adapter)

    def _logits_of(self, rows: Sequence[_ForcedRow]) -> list[Tensor]:
        longest = max(len(row.wanted) for row in rows)
        ids_BT, mask_BT = _left_padded(
            [row.prompt_ids + row.wanted for row in rows], self.base.pad_id, self.base.device
        )
        route = serving_route(self.base.module, [row.adapter for row in rows], self.base.device, self.base.dtype)
        with routed(route):
            out = self.base.module(
                input_ids=ids_BT,
                attention_mask=mask_BT,
                position_ids=(mask_BT.cumsum(1) - 1).clamp(min=0),
                use_cache=False,
                logits_to_keep=longest + 1,
            )
        logits_BLV = out.logits[:, -longest - 1 : -1]
        return [logits_LV[longest - len(row.wanted) :].float() for row, logits_LV in zip(rows, logits_BLV, strict=True)]

    # ------------------------------------------------------------ rows

    def _row(
        self,
        index: int,
        prompt: Prompt,
        sampling: Sampling,
        adapter: LoraAdapter | None,
        grammar: Grammar | None = None,
    ) -> _Row:
        ids = self.base.encode(prompt)
        if not ids:
            raise InputError("the prompt is empty; give the model something to continue")
        if sampling.max_tokens < 1 or sampling.temperature < 0:
            raise InputError(
                "max_tokens must be at least 1 and temperature 0 or more, "
                f"but they are {sampling.max_tokens} and {sampling.temperature:g}"
            )
        if len(ids) + sampling.max_tokens > self.base.window:
            raise InputError(
                f"the prompt has {len(ids)} tokens and {sampling.max_tokens} more are wanted, "
                f"but the model's window is {self.base.window}; shorten the prompt or lower max_tokens"
            )
        extra = () if isinstance(prompt, str) else self.base.stop_strings
        generator = torch.Generator(self.base.device).manual_seed(sampling.seed + index)
        grammar = grammar or sampling.grammar
        constraint = Constraint(self.base, grammar, sampling.max_tokens) if grammar else None
        return _Row(ids, adapter, (*sampling.stop, *extra), generator, constraint)

    def _text(self, row: _Row) -> str:
        """What the row has said so far, cut before the first stop string."""
        text: str = self.base.tokenizer.decode(row.generated, skip_special_tokens=True)
        return before_stop(text, row.stop)

    def _completion(self, row: _Row) -> Completion:
        return Completion(self._text(row), len(row.generated), len(row.prompt_ids), row.finish or "length")

    def _stopped(self, row: _Row) -> bool:
        if row.generated[-1] in self.base.stop_ids:
            return True
        if not row.stop:
            return False
        tail = row.generated[-(4 + max(len(s) for s in row.stop)) :]  # a stop string has at most a token per character
        text = self.base.tokenizer.decode(tail, skip_special_tokens=True)
        return any(stop in text for stop in row.stop)

    # ------------------------------------------------------------ decoding

    @torch.inference_mode()
    def _decode(self, rows: list[_Row], sampling: Sampling) -> Iterator[None]:
        """Advance all rows until each is finished; yields after every token. Finished rows leave the batch."""
        from seal_agent.generation.kv_cache import new_cache

        live, cache = list(rows), new_cache(self.base.module.config)
        route = self._route(live)
        logits_BV, mask_BT = self._read(live, cache, route)
        while True:
            allowed_BV = constrain(logits_BV, [row.constraint for row in live])
            chosen_B = choose_tokens(allowed_BV, sampling, [row.generator for row in live])
            for row, token in zip(live, chosen_B.tolist(), strict=True):
                row.generated.append(token)
                complete = row.constraint is not None and row.constraint.take(token)
                if complete or self._stopped(row):
                    row.finish = "stop"
                elif len(row.generated) >= sampling.max_tokens:
                    row.finish = "length"
            yield
            keep = [i for i, row in enumerate(live) if row.finish is None]
            if not keep:
                return
            ids_BT = chosen_B[:, None]
            if len(keep) < len(live):
                live = [live[i] for i in keep]
                index = torch.tensor(keep, device=self.base.device)
                cache.batch_select_indices(index)
                ids_BT, mask_BT, route = ids_BT[index], mask_BT[index], route and route.of_rows(index)
            mask_BT = torch.cat([mask_BT, mask_BT.new_ones(len(live), 1)], dim=1)
            logits_BV = self._forward(ids_BT, mask_BT, cache, route)

    def _read(self, rows: Sequence[_Row], cache: Any, route: ServingRoute | None) -> tuple[Tensor, Tensor]:
        """Fill the cache with the prompts, a beginning that rows share only once; logits B×V and mask B×T."""
        from seal_agent.generation.kv_cache import keeps_all_positions

        device, mask_BP = self.base.device, None
        shared = group_by_prefix([(id(row.adapter), row.prompt_ids) for row in rows])
        rest = [row.prompt_ids for row in rows]
        if shared and keeps_all_positions(cache):
            firsts, of_row = torch.tensor(shared.first_row_of_group), torch.tensor(shared.group_of_row, device=device)
            heads = [rest[i][:n] for i, n in zip(firsts.tolist(), shared.length_of_group, strict=True)]
            ids_GP, mask_GP = _left_padded(heads, self.base.pad_id, device)
            self._forward(ids_GP, mask_GP, cache, route and route.of_rows(firsts.to(device)))
            cache.batch_select_indices(of_row)
            mask_BP = mask_GP[of_row]
            rest = [ids[shared.length_of_group[g] :] for ids, g in zip(rest, shared.group_of_row, strict=True)]
        ids_BT, mask_BT = _left_padded(rest, self.base.pad_id, device)
        if mask_BP is not None:
            mask_BT = torch.cat([mask_BP, mask_BT], dim=1)
        return self._forward(ids_BT, mask_BT, cache, route), mask_BT

    def _forward(self, ids_BT: Tensor, mask_BT: Tensor, cache: Any, route: ServingRoute | None) -> Tensor:
        """Float32 logits of the last position, B×V."""
        positions_BT = (mask_BT.cumsum(1) - 1).clamp(min=0)[:, -ids_BT.shape[1] :]
        with routed(route):
            out = self.base.module(
                input_ids=ids_BT,
                attention_mask=mask_BT,
                position_ids=positions_BT,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
        logits: Tensor = out.logits[:, -1].float()
        return logits

    def _route(self, rows: Sequence[_Row]) -> ServingRoute | None:
        """Which adapter each of these rows uses."""
        base, adapters = self.base, [row.adapter for row in rows]
        return serving_route(base.module, adapters, base.device, base.dtype, self._ready)


@dataclass(slots=True)
class _Row:
    """One prompt on its way to a completion."""

    prompt_ids: list[int]
    adapter: LoraAdapter | None
    stop: tuple[str, ...]
    generator: torch.Generator
    constraint: Constraint | None = None
    generated: list[int] = field(default_factory=list)
    finish: Literal["stop", "length"] | None = None


@dataclass(frozen=True, slots=True)
class _ForcedRow:
    """A prompt and the tokens that follow it, whatever the model would have said."""

    prompt_ids: list[int]
    wanted: list[int]
    adapter: LoraAdapter | None

    def __len__(self) -> int:
        return len(self.prompt_ids) + len(self.wanted)


def _one_each(name: str, values: Sequence[_One | None] | None, prompts: Sequence[Prompt]) -> list[_One | None]:
    """None for every prompt where nothing is given; raises InputError where their number is not that of the prompts."""
    if values is None:
        return [None] * len(prompts)
    if len(values) != len(prompts):
        raise InputError(f"{len(prompts)} prompts but {len(values)} {name}; give one, or None, for each")
    return list(values)


def _left_padded(rows: Sequence[list[int]], pad_id: int, device: torch.device) -> tuple[Tensor, Tensor]:
    longest = max(len(row) for row in rows)
    ids = [[pad_id] * (longest - len(row)) + row for row in rows]
    mask = [[0] * (longest - len(row)) + [1] * len(row) for row in rows]
    return torch.tensor(ids, device=device), torch.tensor(mask, device=device)
