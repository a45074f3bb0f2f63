"""The vLLM engine: prompts as token ids, each row with its own adapter, answered at serving speed."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeVar

import torch

from seal_agent.base_model.model import BaseModel
from seal_agent.errors import AdapterError, EngineError, InputError
from seal_agent.generation.constraints import Constraint, closing_budget
from seal_agent.generation.engine import before_stop
from seal_agent.generation.hf import HFEngine
from seal_agent.generation.rows import check_blind, check_forced, check_room, ids_of, one_per_prompt
from seal_agent.generation.sampling import check_sampling, seed_of_row
from seal_agent.generation.vllm.requests import AdaptersLost, Backend, Request, ServedAdapter, Written
from seal_agent.generation.vllm.served import ServedAdapters
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.progress import Progress
from seal_agent.types import Completion, Grammar, Prompt, Sampling, SoftLabel

CANARY = "The first of these is the one that everybody knows."
FELT = 0.05  # nats: an adapter that moves no token of the canary by more than this may be lost in rounding
_UNFINISHED_CHARACTER = "\ufffd"
_Result = TypeVar("_Result")


class VLLMEngine:
    """Implements Engine over vLLM. Reentrant, as far as its backend is.

    The base model stays the source of token ids and of what ends a text, so that prompts are those of HFEngine.

    Args:
        base: The model that vLLM serves too.
        backend: How vLLM is reached.
        adapter_folder: Where adapters are put for vLLM; default: in memory, or where temporary files are.
    """

    def __init__(self, base: BaseModel, backend: Backend, adapter_folder: Path | None = None) -> None:
        self.base, self.backend = base, backend
        self._served = ServedAdapters(base, backend, self._check, adapter_folder)
        self._canary_of_base: list[float] | None = None
        self._lock = threading.Lock()

    def close(self) -> None:
        """Free what vLLM holds and remove the adapters' folders. The next call starts it anew."""
        self.backend.close()
        self._served.close()

    # ------------------------------------------------------------ Engine

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
        requests = [
            self._request(index, prompt, sampling, grammar or sampling.grammar)
            for index, (prompt, grammar) in enumerate(zip(prompts, grammars, strict=True))
        ]
        written = self._run(requests, adapters, progress)
        self._close_open_texts(requests, adapters, written)
        return [self._completion(request, one) for request, one in zip(requests, written, strict=True)]

    def stream(
        self, prompt: Prompt, sampling: Sampling, adapter: LoraAdapter | None = None
    ) -> Generator[str, None, Completion]:
        request, sent_length, one = self._request(0, prompt, sampling, sampling.grammar), 0, Written()
        longest_stop, lasting = max((len(stop) for stop in request.stop), default=0), _lasting(request)
        for one in self._stream(request, adapter):
            if one.finish:
                break
            text = self._text(request, Written(one.ids[:lasting]))
            safe_length = len(text) - longest_stop
            if safe_length > sent_length and not text.endswith(_UNFINISHED_CHARACTER):
                yield text[sent_length:safe_length]
                sent_length = safe_length
        self._close_open_texts([request], [adapter], [one])
        if len(text := self._text(request, one)) > sent_length:
            yield text[sent_length:]
        return self._completion(request, one)

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
        whole = [self._request(index, prompt, sampling) for index, prompt in enumerate(prompts)]
        firsts = self._run([replace(request, max_tokens=1, top=count) for request in whole], adapters, None)
        rows: list[tuple[int, Written]] = []
        for i, first in enumerate(firsts):
            for rank, (token, logprob) in enumerate(_likeliest(first.logprobs[0], count)):
                if not rank or math.exp(logprob) >= least:
                    rows.append((i, Written([token], [{token: logprob}], finish=self._finish(whole[i], token))))
        going_on = [(i, one) for i, one in rows if one.finish is None]
        requests = [
            replace(whole[i], prompt_ids=(*whole[i].prompt_ids, one.ids[0]), max_tokens=whole[i].max_tokens - 1)
            for i, one in going_on
        ]
        rest = self._run(requests, [adapters[i] for i, _ in going_on], progress)
        for (_, one), more in zip(going_on, rest, strict=True):
            one.ids, one.logprobs, one.finish = [*one.ids, *more.ids], [*one.logprobs, *more.logprobs], more.finish
        found: list[list[Completion]] = [[] for _ in prompts]
        for i, one in rows:
            found[i].append(self._completion(whole[i], one))
        return found

    def score(
        self,
        prompts: Sequence[Prompt],
        continuations: Sequence[str],
        adapters: Sequence[LoraAdapter | None] | None = None,
    ) -> list[tuple[float, ...]]:
        rows = self._rows_of(prompts, [self.base.content_ids(text) for text in continuations])
        return [
            tuple(position[token] for position, token in zip(positions, continuation, strict=True))
            for (_, continuation), positions in zip(rows, self.forced(rows, adapters), strict=True)
        ]

    def soft_labels(
        self,
        prompts: Sequence[Prompt],
        continuations: Sequence[Sequence[int]],
        top: int,
        adapters: Sequence[LoraAdapter | None] | None = None,
    ) -> list[tuple[SoftLabel, ...]]:
        rows = self._rows_of(prompts, continuations)
        top = min(top, self.base.module.config.get_text_config().vocab_size)
        return [
            tuple(_soft_label(position, top) for position in positions)
            for positions in self.forced(rows, adapters, top=top)
        ]

    def forced(
        self,
        rows: Sequence[tuple[Sequence[int], Sequence[int]]],
        adapters: Sequence[LoraAdapter | None] | None = None,
        *,
        top: int = 0,
        progress: Progress | None = None,
    ) -> list[list[Mapping[int, float]]]:
        """Log-probabilities at every position of given continuations, by token: the one there, and the likeliest.

        Args:
            rows: (prompt, continuation) in token ids.
            top: How many of the likeliest tokens are reported at each position.

        Raises InputError for a row that exceeds the window.
        """
        adapters = one_per_prompt("adapters", adapters, [""] * len(rows))
        asked = [i for i, (_, continuation) in enumerate(rows) if continuation]
        # The last token is generated, with no choice: reported is what the model itself thought of it.
        requests = [
            Request(
                (*rows[i][0], *rows[i][1][:-1]),
                max_tokens=1,
                top=top,
                prompt_top=top,
                allowed_ids=(rows[i][1][-1],),
            )
            for i in asked
        ]
        found: list[list[Mapping[int, float]]] = [[] for _ in rows]
        for i, one in zip(asked, self._run(requests, [adapters[i] for i in asked], progress), strict=True):
            inside = len(rows[i][1]) - 1
            found[i] = [*(one.prompt_logprobs[-inside:] if inside else ()), one.logprobs[0]]
        return found

    @contextmanager
    def resting(self) -> Iterator[None]:
        """While another uses the GPU: vLLM frees its memory if it was asked to, and has it back afterwards."""
        with self.backend.resting():
            yield

    # ------------------------------------------------------------ rows

    def _request(self, index: int, prompt: Prompt, sampling: Sampling, grammar: Grammar | None = None) -> Request:
        check_sampling(sampling)
        check_blind([prompt], "vllm")
        prompt_ids, window = ids_of(self.base, prompt), min(self.base.window, self.backend.window)
        check_room(len(prompt_ids), sampling.max_tokens, window)
        if grammar:
            Constraint(self.base, grammar, sampling.max_tokens)  # raises where it cannot be used
        chat_stops = () if isinstance(prompt, str) else self.base.stop_strings
        return Request(
            tuple(prompt_ids),
            sampling.max_tokens,
            float(sampling.temperature),
            float(sampling.top_p),
            seed_of_row(sampling.seed, index),
            (*sampling.stop, *chat_stops),
            tuple(sorted(self.base.stop_ids)),
            grammar=grammar,
        )

    def _rows_of(
        self, prompts: Sequence[Prompt], continuations: Sequence[Sequence[int]]
    ) -> list[tuple[list[int], list[int]]]:
        if len(continuations) != len(prompts):
            raise InputError(f"{len(prompts)} prompts but {len(continuations)} continuations; give one for each")
        check_blind(prompts, "vllm")
        rows = [(ids_of(self.base, prompt), list(ids)) for prompt, ids in zip(prompts, continuations, strict=True)]
        window = min(self.base.window, self.backend.window)
        for prompt_ids, ids in rows:
            check_forced(len(prompt_ids) + len(ids), window)
        return rows

    def _text(self, request: Request, one: Written) -> str:
        text: str = self.base.tokenizer.decode(one.ids, skip_special_tokens=True)
        return before_stop(text, request.stop)

    def _completion(self, request: Request, one: Written) -> Completion:
        logprobs = tuple(position[token] for position, token in zip(one.logprobs, one.ids, strict=True))
        return Completion(
            self._text(request, one), len(one.ids), len(request.prompt_ids), one.finish or "length", logprobs
        )

    def _finish(self, request: Request, first: int) -> Literal["stop", "length"] | None:
        """How a text ends that begins with this token, if it ends there."""
        text = self.base.tokenizer.decode([first], skip_special_tokens=True)
        if first in request.stop_ids or any(stop in text for stop in request.stop):
            return "stop"
        return "length" if request.max_tokens == 1 else None

    # ------------------------------------------------------------ vLLM

    def _run(
        self, requests: Sequence[Request], adapters: Sequence[LoraAdapter | None], progress: Progress | None
    ) -> list[Written]:
        """All requests, with at most as many adapters at once as vLLM keeps ready."""
        written: list[Written] = []
        finished = 0

        def done() -> None:
            nonlocal finished
            finished += 1
            if progress:
                progress(finished, len(requests))

        for start, stop in _spans(adapters, self.backend.max_adapters):
            rows = adapters[start:stop]

            def ask(served: list[ServedAdapter | None], start: int = start, stop: int = stop) -> list[Written]:
                asked = zip(requests[start:stop], served, strict=True)
                return self.backend.run([replace(request, adapter=one) for request, one in asked], done)

            written += self._with_adapters(rows, ask)
        return written

    def _with_adapters(
        self, adapters: Sequence[LoraAdapter | None], ask: Callable[[list[ServedAdapter | None]], _Result]
    ) -> _Result:
        """Call with the adapters loaded; once more if vLLM was started anew meanwhile."""
        try:
            with self._served.ready(adapters) as served:
                return ask(served)
        except AdaptersLost:
            with self._served.ready(adapters) as served:
                return ask(served)

    def _stream(self, request: Request, adapter: LoraAdapter | None) -> Iterator[Written]:
        """What is written so far; from the beginning once more if vLLM was started anew before the first tokens."""
        begun = False
        try:
            with self._served.ready([adapter]) as (served,):
                for one in self.backend.stream(replace(request, adapter=served)):
                    begun = True
                    yield one
        except AdaptersLost:
            if begun:
                raise EngineError("vLLM was started anew while it wrote an answer; ask again") from None
            with self._served.ready([adapter]) as (served,):
                yield from self.backend.stream(replace(request, adapter=served))

    def _close_open_texts(
        self, requests: Sequence[Request], adapters: Sequence[LoraAdapter | None], written: Sequence[Written]
    ) -> None:
        """Write the end of every JSON text anew that was cut off: near the limit what is open is closed.

        HFEngine decodes so from the start; vLLM knows a schema, but not how little room is left.
        """
        for request, adapter, one in zip(requests, adapters, written, strict=True):
            if not _is_closed(request) or one.finish != "length":
                continue
            assert request.grammar
            kept = _lasting(request)
            constraint = Constraint(self.base, request.grammar, request.max_tokens, flexible=True)
            ids, logprobs, ended = one.ids[:kept], one.logprobs[:kept], False
            for token in ids:
                ended = constraint.advance(token)
            while not ended and len(ids) < request.max_tokens:
                allowed = constraint.allowed_tokens(len(self.base.tokenizer)).nonzero().flatten().tolist()
                step = replace(
                    request,
                    prompt_ids=(*request.prompt_ids, *ids),
                    max_tokens=1,
                    seed=seed_of_row(request.seed, len(ids)),
                    stop=(),
                    grammar=None,
                    allowed_ids=tuple(allowed),
                )
                (more,) = self._run([step], [adapter], None)
                ids, logprobs = [*ids, *more.ids], [*logprobs, *more.logprobs]
                ended = constraint.advance(ids[-1]) or ids[-1] in request.stop_ids
            one.ids, one.logprobs, one.finish = ids, logprobs, "stop" if ended else "length"

    # ------------------------------------------------------------ canary

    def _check(self, adapter: LoraAdapter, served: ServedAdapter) -> None:
        """Whether vLLM answers with an adapter that was just loaded, where the model itself does.

        vLLM leaves out, without a word, an adapter whose layers have other names than it expects. Raises AdapterError.
        """
        with self._lock:
            if self._canary_of_base is None:
                self._canary_of_base = self._canary(None)
            base = self._canary_of_base
        if _largest_difference(base, self._canary(served)) > 0:
            return
        prompt, hf = "\n", HFEngine(self.base)
        scores = hf.score([prompt] * 2, [CANARY] * 2, [None, adapter])
        if _largest_difference(*scores) > FELT:
            raise AdapterError(
                f"vLLM answers as if there were no adapter, although this one changes what {self.base.name!r} says; "
                "vLLM names the layers of this architecture otherwise, so use engine='hf'"
            )

    def _canary(self, served: ServedAdapter | None) -> list[float]:
        ids = [*ids_of(self.base, "\n"), *self.base.content_ids(CANARY)]
        (one,) = self.backend.run([Request(tuple(ids), max_tokens=1, prompt_top=0, adapter=served)], lambda: None)
        return [position[token] for position, token in zip(one.prompt_logprobs, ids[1:], strict=True)]


def _largest_difference(first: Sequence[float], second: Sequence[float]) -> float:
    return max((abs(a - b) for a, b in zip(first, second, strict=True)), default=0.0)


def _is_closed(request: Request) -> bool:
    """Whether the end of a text is written anew where it was cut off."""
    return request.grammar is not None and request.grammar.kind == "json_schema"


def _lasting(request: Request) -> int:
    """How many of the first tokens stay as they are, even if the text is cut off."""
    return request.max_tokens - (closing_budget(request.max_tokens) if _is_closed(request) else 0)


def _likeliest(position: Mapping[int, float], count: int) -> list[tuple[int, float]]:
    return sorted(position.items(), key=lambda item: -item[1])[:count]


def _soft_label(position: Mapping[int, float], top: int) -> SoftLabel:
    tokens, logprobs = zip(*_likeliest(position, top), strict=True)
    return SoftLabel(tokens, tuple(torch.tensor(logprobs, dtype=torch.float64).softmax(0).tolist()))


def _spans(adapters: Sequence[LoraAdapter | None], most: int) -> Iterator[tuple[int, int]]:
    """Consecutive rows [start, stop) with at most so many different adapters."""
    start, seen = 0, set[int]()
    for i, adapter in enumerate(adapters):
        if adapter is not None and id(adapter) not in seen:
            if len(seen) == most:
                yield start, i
                start, seen = i, set()
            seen.add(id(adapter))
    if len(adapters) > start:
        yield start, len(adapters)
