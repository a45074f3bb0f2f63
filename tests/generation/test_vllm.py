"""The parts of the vLLM engine that need no vLLM; tests/with_vllm runs it for real."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from conftest import random_adapter

from seal_agent.base_model.model import BaseModel
from seal_agent.config import VLLMConfig
from seal_agent.errors import InputError, MissingDependency
from seal_agent.generation.engine import resting
from seal_agent.generation.engines import check_engine, make_engine
from seal_agent.generation.hf import HFEngine
from seal_agent.generation.vllm.engine import VLLMEngine, _spans
from seal_agent.generation.vllm.local import LocalVLLM, _on_gpu
from seal_agent.generation.vllm.requests import Request, ServedAdapter, Written, apart, smallest_rank
from seal_agent.generation.vllm.server import _extend
from seal_agent.generation.vllm.turns import Turns
from seal_agent.types import Grammar, Sampling


def test_the_rank_that_vllm_must_be_started_with() -> None:
    assert [smallest_rank(rank) for rank in (1, 2, 8, 9, 32, 33, 512, 513)] == [1, 8, 8, 16, 32, 64, 512, None]


def test_rows_with_and_without_adapters_are_computed_apart() -> None:
    adapter = ServedAdapter("a", 1, Path(), 8)
    requests = [Request((1,), 1), Request((1,), 1, adapter=adapter), Request((1,), 1)]
    assert apart(requests) == [[0, 2], [1]]
    assert apart(requests[1:2]) == [[0]]
    assert apart([]) == []


def test_threads_ask_for_one_kind_of_rows_at_a_time() -> None:
    turns, inside, most = Turns(), Counter[bool](), Counter[bool]()

    def ask(kind: bool) -> None:
        for _ in range(20):
            with turns.of(kind):
                inside[kind] += 1
                assert not inside[not kind]
                most[kind] = max(most[kind], inside[kind])
                time.sleep(0.001)
                inside[kind] -= 1

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(ask, [True, True, True, False, False, False]))
    assert min(most.values()) > 1, "rows of one kind go together"


def test_a_thread_that_reads_a_stream_may_ask_for_the_other_kind() -> None:
    turns = Turns()
    with turns.of(True), turns.of(False):
        pass


def test_no_more_adapters_at_once_than_are_kept_ready(tiny_base: BaseModel) -> None:
    a, b, c = (random_adapter(tiny_base, seed) for seed in range(3))
    assert list(_spans([a, None, a, b, c, c, a], 2)) == [(0, 4), (4, 7)]
    assert list(_spans([None, None], 1)) == [(0, 2)]
    assert list(_spans([], 1)) == []


def test_pieces_of_a_reply_add_up() -> None:
    written = Written()
    for piece in (
        {"token_ids": [5], "logprobs": {"tokens": ["token_id:5"], "token_logprobs": [-0.5], "top_logprobs": [None]}},
        {
            "token_ids": [7],
            "logprobs": {
                "tokens": ["token_id:7"],
                "token_logprobs": [-2.0],
                "top_logprobs": [{"token_id:9": -0.2}],
            },
            "prompt_logprobs": [None, {"3": {"logprob": -1.0}}],
            "finish_reason": "stop",
        },
    ):
        _extend(written, {"choices": [piece]})
    assert written == Written([5, 7], [{5: -0.5}, {9: -0.2, 7: -2.0}], [{3: -1.0}], "stop")


class FakeBackend:
    """Writes a given text token by token; where only some tokens are allowed, the first of them."""

    max_adapters, window = 1, 2048

    def __init__(self, ids: list[int]) -> None:
        self._ids = ids

    def run(self, requests: Sequence[Request], done: Callable[[], None]) -> list[Written]:
        def written(request: Request) -> Written:
            ids = list(request.allowed_ids[:1]) or self._ids[: request.max_tokens]
            return Written(ids, [{id_: -1.0} for id_ in ids], finish="length")

        return [written(request) for request in requests]

    def stream(self, request: Request) -> Iterator[Written]:
        (whole,) = self.run([request], lambda: None)
        for length in range(1, len(whole.ids) + 1):
            finish = whole.finish if length == len(whole.ids) else None
            yield Written(whole.ids[:length], whole.logprobs[:length], finish=finish)


@pytest.mark.parametrize("kind", ["json_schema", "regex"])
def test_what_a_stream_has_said_stands_in_a_text_that_is_cut_off(
    tiny_base: BaseModel, kind: Literal["json_schema", "regex"]
) -> None:
    schema = json.dumps({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]})
    grammar = Grammar(kind, schema if kind == "json_schema" else '[{]"a": "b+')
    backend: Any = FakeBackend(tiny_base.content_ids('{"a": "' + "b" * 100))
    engine, sampling = VLLMEngine(tiny_base, backend), Sampling(40, grammar=grammar)
    (whole,) = engine.generate(["One"], sampling)
    pieces = list(engine.stream("One", sampling))
    assert "".join(pieces) == whole.text
    assert (len(pieces) > 15, whole.text.endswith('"}')) == (True, kind == "json_schema")


def test_without_vllm_the_error_says_what_to_install(tiny_base: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "vllm", None)
    engine = make_engine(tiny_base, "vllm")
    with pytest.raises(MissingDependency, match=r"seal-agent\[vllm\]"):
        engine.generate(["One"], Sampling(4))


def test_engines_by_name(tiny_base: BaseModel) -> None:
    assert isinstance(make_engine(tiny_base), HFEngine)
    with pytest.raises(InputError, match="no engine 'sglang'"):
        check_engine("sglang")
    with pytest.raises(InputError, match="engine='vllm'"):
        check_engine("hf", VLLMConfig(server="http://127.0.0.1:8000"))
    with pytest.raises(InputError, match="rank 512"):
        make_engine(tiny_base, "vllm", VLLMConfig(max_lora_rank=1024))


class FakeLLM:
    """Says what it was told to do."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def sleep(self, level: int) -> None:
        self.done.append(f"sleep {level}")

    def wake_up(self) -> None:
        self.done.append("wake up")


@pytest.mark.parametrize(
    ("asked", "device", "done"), [(True, "cuda", ["sleep 1", "wake up"]), (True, "cpu", []), (False, "cuda", [])]
)
def test_vllm_sleeps_while_an_adapter_is_trained(
    tiny_base: BaseModel, monkeypatch: pytest.MonkeyPatch, asked: bool, device: str, done: list[str]
) -> None:
    monkeypatch.setattr(BaseModel, "device", property(lambda self: torch.device(device)))
    engine: Any = make_engine(tiny_base, "vllm", VLLMConfig(sleep=asked))
    backend: LocalVLLM = engine.backend
    llm = backend._llm = FakeLLM()
    before = backend.generation()
    with resting(engine):
        assert llm.done == done[:1]
    assert llm.done == done
    assert (backend.generation() > before) == bool(done)  # its adapters are loaded again
    backend._llm = None


def test_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with _on_gpu(1):
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "1"
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    with _on_gpu(1):
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "6"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "4,6"
    with _on_gpu(None):
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "4,6"
