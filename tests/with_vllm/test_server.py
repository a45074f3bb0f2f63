"""A server that is killed, hangs or is none; and a store's adapters by name, as the plugin resolves them."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import httpx
import pytest
from conftest import random_adapter
from engine_contract import GREEDY, PROMPTS
from vllm_server import Server

from seal_agent.adaptation.gate import KeepAll
from seal_agent.base_model.model import BaseModel
from seal_agent.config import InnerLoopConfig, SelfEditConfig, VLLMConfig
from seal_agent.errors import EngineError, InputError
from seal_agent.generation.hf import HFEngine
from seal_agent.generation.vllm.engine import VLLMEngine
from seal_agent.generation.vllm.server import ServedVLLM
from seal_agent.model import SelfAdaptingModel
from seal_agent.types import Sampling

FAST = InnerLoopConfig(
    rank=4, alpha=64.0, epochs=4, learning_rate=1e-2, continued=1.0, null_space=0.0, shrink=0.0, openings=0, anchors=0
)
PASSAGE = SelfEditConfig(formats=("passage",), synonyms=0, self_test=0)
TEXTS = ("Tarnby Light stands on Ossel.", "The keeper of Tarnby Light is called Imre.")


class TestNames:
    """`vllm serve` finds what the store holds, at the revision that is active at the moment of the request."""

    @pytest.fixture(scope="class")
    def seal(self, tiny: BaseModel, server: Server) -> SelfAdaptingModel:
        model = SelfAdaptingModel(tiny, home=server.home)
        for text in TEXTS:
            model.adapt(text, adapter="alice", self_edit=PASSAGE, inner_loop=FAST, gate=KeepAll())
        return model

    def said(self, url: str, name: str) -> str:
        body = {"model": name, "prompt": "One two", "max_tokens": 12, "temperature": 0}
        reply = httpx.post(f"{url}/v1/completions", json=body, timeout=120)
        reply.raise_for_status()
        return str(reply.json()["choices"][0]["text"])

    def expected(self, seal: SelfAdaptingModel, revision: str | None) -> str:
        adapter = seal.weights_of(revision) if revision else None
        (completion,) = HFEngine(seal.base).generate(["One two"], Sampling(12), [adapter])
        return completion.text

    def test_a_name_answers_with_the_active_revision_and_follows_rollbacks(
        self, seal: SelfAdaptingModel, server: Server
    ) -> None:
        url = server.url
        oldest, newest = (revision.id for revision in seal.history("alice"))
        assert self.said(url, "alice") == self.expected(seal, newest)
        seal.rollback("alice")
        assert self.said(url, "alice") == self.expected(seal, oldest)
        seal.rollback("alice")
        assert self.said(url, "alice") == self.expected(seal, None)
        seal.rollback("alice", to=newest)
        assert self.said(url, "alice") == self.expected(seal, newest)
        assert self.expected(seal, newest) != self.expected(seal, oldest) != self.expected(seal, None)

    def test_a_revision_is_answered_by_its_own_weights(self, seal: SelfAdaptingModel, server: Server) -> None:
        for revision in seal.history("alice"):
            name = f"alice@{revision.id}"
            assert self.said(server.url, name) == self.expected(seal, revision.id)

    @pytest.mark.parametrize("name", ["nobody", "../alice", "alice@../../x", "alice@000000000000", "bob@{first}", ""])
    def test_other_names_are_not_found(self, seal: SelfAdaptingModel, server: Server, name: str) -> None:
        name = name.format(first=seal.history("alice")[0].id)
        body = {"model": name or "@", "prompt": [10], "max_tokens": 1}
        assert httpx.post(f"{server.url}/v1/completions", json=body, timeout=60).status_code == 404

    def test_an_adapter_of_another_model_is_not_served(self, tiny: BaseModel, server: Server, tmp_path: Path) -> None:
        other = BaseModel("other", tiny.module, tiny.tokenizer, "another-identity")
        other.memo["reader"] = tiny.memo["reader"]
        model = SelfAdaptingModel(other, home=server.home)
        model.adapt(TEXTS[0], adapter="carol", self_edit=PASSAGE, inner_loop=FAST, gate=None)
        body = {"model": "carol", "prompt": [10], "max_tokens": 1}
        assert httpx.post(f"{server.url}/v1/completions", json=body, timeout=60).status_code == 404


class TestTrouble:
    def test_what_is_no_address_is_refused(self, tiny: BaseModel) -> None:
        with pytest.raises(InputError, match="http://"):
            ServedVLLM(tiny, VLLMConfig(server="127.0.0.1:8000"))

    def test_a_server_that_is_not_there_is_an_error_with_its_address(self, tiny: BaseModel) -> None:
        engine = VLLMEngine(tiny, ServedVLLM(tiny, VLLMConfig(server="http://127.0.0.1:9")))
        with pytest.raises(EngineError, match=r"http://127\.0\.0\.1:9 cannot be reached"):
            engine.generate([PROMPTS[0]], GREEDY)

    def test_a_server_that_hangs_is_an_error(self, tiny: BaseModel, server: Server) -> None:
        config = VLLMConfig(server=server.url, timeout=20, max_loras=2, max_cpu_loras=3)
        engine = VLLMEngine(tiny, ServedVLLM(tiny, config))
        (before,) = engine.generate([PROMPTS[0]], GREEDY)
        os.kill(server.process.pid, signal.SIGSTOP)
        try:
            with pytest.raises(EngineError, match="in time"):
                engine.generate([PROMPTS[0]], GREEDY)
        finally:
            os.kill(server.process.pid, signal.SIGCONT)
        assert engine.generate([PROMPTS[0]], GREEDY) == [before]

    def test_work_goes_on_when_a_killed_server_was_started_again(
        self, tiny: BaseModel, server: Server, remote: VLLMEngine
    ) -> None:
        adapter = random_adapter(tiny, 1)
        rows = [adapter, None]
        before = remote.generate(PROMPTS[:2], GREEDY, rows)
        server.kill()
        with pytest.raises(EngineError, match="start it, then go on"):
            remote.generate(PROMPTS[:2], GREEDY, rows)
        server.start()
        assert remote.generate(PROMPTS[:2], GREEDY, rows) == before
