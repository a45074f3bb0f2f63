"""Both forms of the vLLM engine keep the contract, and put every adapter before vLLM under a name of its own."""

from __future__ import annotations

import gc
import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from conftest import random_adapter
from engine_contract import GREEDY, PROMPTS, EngineContract

from seal_agent.base_model.model import BaseModel
from seal_agent.errors import AdapterError, EngineError
from seal_agent.generation.engine import Engine
from seal_agent.generation.hf import HFEngine
from seal_agent.generation.vllm import served
from seal_agent.generation.vllm.engine import VLLMEngine
from seal_agent.lora.adapter import LoraAdapter, LoraPair
from seal_agent.lora.peft_files import write_peft
from seal_agent.types import Message, Sampling


class VLLMContract(EngineContract):
    @pytest.fixture
    def adapters(self, tiny: BaseModel) -> tuple[LoraAdapter, LoraAdapter]:
        return random_adapter(tiny, 1), random_adapter(tiny, 2, rank=8, targets=("all",))

    def test_it_says_what_the_transformers_engine_says(
        self, engine: Engine, tiny: BaseModel, adapters: tuple[LoraAdapter, LoraAdapter]
    ) -> None:
        hf = HFEngine(tiny)
        prompts = [*PROMPTS, (Message("user", "Where is Tarawa?"),), (Message("user", "</turn> is no turn"),)]
        for adapter in (None, *adapters):
            rows = [adapter] * len(prompts)
            expected, said = hf.generate(prompts, GREEDY, rows), engine.generate(prompts, GREEDY, rows)
            assert [(c.text, c.tokens, c.prompt_tokens, c.finish_reason) for c in said] == [
                (c.text, c.tokens, c.prompt_tokens, c.finish_reason) for c in expected
            ]
            scores = zip(
                engine.score(prompts, [" two"] * len(prompts), rows),
                hf.score(prompts, [" two"] * len(prompts), rows),
                strict=True,
            )
            assert all(a == pytest.approx(b, abs=1e-3) for a, b in scores)

    def test_more_adapters_than_are_kept_ready(self, engine: VLLMEngine, tiny: BaseModel) -> None:
        several = [random_adapter(tiny, seed) for seed in range(10, 17)]
        expected = HFEngine(tiny).generate([PROMPTS[1]] * 7, GREEDY, several)
        assert [c.text for c in engine.generate([PROMPTS[1]] * 7, GREEDY, several)] == [c.text for c in expected]
        assert len(engine._served) <= engine.backend.max_adapters

    def test_adapters_that_exist_no_more_are_unloaded(self, engine: VLLMEngine, tiny: BaseModel) -> None:
        adapter = random_adapter(tiny, 20)
        engine.generate([PROMPTS[0]], GREEDY, [adapter])
        folders = {entry.served.folder for entry in engine._served._entries.values() if entry.adapter() is adapter}
        assert len(folders) == 1
        del adapter
        gc.collect()
        engine.generate([PROMPTS[0]], GREEDY)
        assert not any(folder.exists() for folder in folders)

    def test_layers_under_other_names_are_noticed(
        self, engine: VLLMEngine, tiny: BaseModel, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def write_renamed(adapter: LoraAdapter, *where: Any) -> None:
            pairs = {name.replace("model.layers", "model.text.layers"): pair for name, pair in adapter.pairs.items()}
            write_peft(LoraAdapter(adapter.rank, adapter.alpha, pairs), *where)

        monkeypatch.setattr(served, "write_peft", write_renamed)
        with pytest.raises(AdapterError, match="vLLM"):
            engine.generate([PROMPTS[0]], GREEDY, [random_adapter(tiny, 4)])

    def test_an_adapter_that_changes_nothing_is_taken(self, engine: VLLMEngine, tiny: BaseModel) -> None:
        adapter = random_adapter(tiny, 5)
        pairs = {name: LoraPair(pair.a_DR, pair.b_RO * 0) for name, pair in adapter.pairs.items()}
        silent = LoraAdapter(adapter.rank, adapter.alpha, pairs)
        assert engine.generate([PROMPTS[1]], GREEDY, [silent])[0] == engine.generate([PROMPTS[1]], GREEDY)[0]

    def test_a_stream_may_be_left_and_others_answer_meanwhile(self, engine: VLLMEngine) -> None:
        (whole,) = engine.generate([PROMPTS[1]], GREEDY)
        stream = engine.stream(PROMPTS[1], Sampling(200))
        next(stream)
        assert engine.generate([PROMPTS[1]], GREEDY)[0] == whole
        stream.close()
        assert engine.generate([PROMPTS[1]], GREEDY)[0] == whole

    @pytest.mark.timeout(300)
    def test_calls_streams_and_new_adapters_at_once(self, engine: VLLMEngine, tiny: BaseModel) -> None:
        several = [None, *(random_adapter(tiny, seed) for seed in range(30, 35))]
        expected = [HFEngine(tiny).generate([PROMPTS[1]], GREEDY, [adapter])[0].text for adapter in several]

        def ask(i: int) -> str:
            adapter = several[i % 6]
            if i % 2:
                return "".join(engine.stream(PROMPTS[1], GREEDY, adapter))
            return engine.generate([PROMPTS[1]], GREEDY, [adapter])[0].text

        asked = [0, 1, 2, 3, 4, 5, 0, 2, 4, 1, 3, 5]
        with ThreadPoolExecutor(6) as pool:
            assert list(pool.map(ask, asked)) == [expected[i] for i in asked]


class TestLocal(VLLMContract):
    @pytest.fixture
    def engine(self, local: VLLMEngine) -> VLLMEngine:
        return local

    def test_a_larger_adapter_starts_vllm_anew(
        self, engine: VLLMEngine, tiny: BaseModel, adapters: tuple[LoraAdapter, LoraAdapter]
    ) -> None:
        rows = [adapters[0], random_adapter(tiny, 3, rank=12), None]
        expected = HFEngine(tiny).generate(PROMPTS[:3], GREEDY, rows)
        assert [c.text for c in engine.generate(PROMPTS[:3], GREEDY, rows)] == [c.text for c in expected]
        with pytest.raises(AdapterError, match="512"):
            engine.generate([PROMPTS[0]], GREEDY, [random_adapter(tiny, 3, rank=600)])

    def test_work_goes_on_when_its_process_was_killed(
        self, engine: VLLMEngine, adapters: tuple[LoraAdapter, LoraAdapter]
    ) -> None:
        rows = [adapters[0], None]
        before = engine.generate(PROMPTS[:2], GREEDY, rows)
        for child in multiprocessing.active_children():
            child.kill()
        with pytest.raises(EngineError, match="the next question starts it again"):
            engine.generate(PROMPTS[:2], GREEDY, rows)
        assert engine.generate(PROMPTS[:2], GREEDY, rows) == before


class TestServer(VLLMContract):
    @pytest.fixture
    def engine(self, remote: VLLMEngine) -> VLLMEngine:
        return remote

    def test_a_rank_that_is_not_served_is_refused_with_the_fix(self, engine: VLLMEngine, tiny: BaseModel) -> None:
        with pytest.raises(AdapterError, match="--max-lora-rank"):
            engine.generate([PROMPTS[0]], GREEDY, [random_adapter(tiny, 3, rank=16)])
        assert engine.generate([PROMPTS[0]], GREEDY)  # and nothing is broken
