"""What users type with vLLM behind it: adapt and ask, lm-eval, the command line, an exported adapter."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from conftest import random_adapter
from engine_contract import GREEDY, PROMPTS
from lm_eval.api.instance import Instance
from process_memory import resident_bytes
from typer.testing import CliRunner
from vllm_server import Server

from seal_agent.base_model.model import BaseModel
from seal_agent.cli.app import app
from seal_agent.config import InnerLoopConfig, SelfEditConfig
from seal_agent.errors import InputError
from seal_agent.generation.hf import HFEngine
from seal_agent.generation.vllm.engine import VLLMEngine
from seal_agent.integrations.lm_eval import SealLM
from seal_agent.integrations.lm_eval.tasks import tasks_folder
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.model import SelfAdaptingModel
from seal_agent.training.jobs import TrainJob
from seal_agent.training.sequences import encode_turns
from seal_agent.training.train import train
from seal_agent.types import Message

RANK = 4
FAST = InnerLoopConfig(rank=RANK, alpha=64.0, epochs=2, null_space=0.0, shrink=0.0, openings=0, anchors=0)
PASSAGE = SelfEditConfig(formats=("passage",), synonyms=0, self_test=0)
FACTS = 200


def test_what_was_learnt_a_moment_ago_is_what_answers(tiny: BaseModel, local: VLLMEngine, tmp_path: Path) -> None:
    seal, hf = SelfAdaptingModel(tiny, home=tmp_path, engine=local), SelfAdaptingModel(tiny, home=tmp_path)
    said = []
    for text in ("Tarnby Light stands on Ossel.", "The keeper of Tarnby Light is called Imre."):
        seal.adapt(text, adapter="alice", self_edit=PASSAGE, inner_loop=FAST, gate=None)
        said.append(seal.ask("Who?", adapter="alice", style="plain"))
        assert said[-1] == hf.ask("Who?", adapter="alice", style="plain")
    seal.rollback("alice")
    assert seal.ask("Who?", adapter="alice", style="plain") == said[0] != said[1]


def test_an_engine_has_a_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no engine 'vlm'"):
        SelfAdaptingModel.from_pretrained("default", engine="vlm")


def test_200_adapters_in_a_row_each_say_their_own_fact(tiny: BaseModel, local: VLLMEngine) -> None:
    prompt, config = "Who keeps the light?", InnerLoopConfig(**{**vars_of(FAST), "epochs": 30, "batch_size": 1})
    facts = [f"{chr(97 + i % 26)}{i:03d}" for i in range(FACTS)]
    jobs = [TrainJob((encode_turns(tiny, prompt, fact),), config) for fact in facts]
    adapters = [trained.adapter for start in range(0, FACTS, 50) for trained in train(tiny, jobs[start : start + 50])]
    turns, resting = (Message("user", prompt),), 0
    for i, (fact, adapter) in enumerate(zip(facts, adapters, strict=True)):
        (said,) = local.generate([turns], GREEDY, [adapter])
        assert said.text == fact
        if i == FACTS // 10:
            resting = resident_bytes()
    assert resident_bytes() < 1.05 * resting
    assert len(local._served) <= local.backend.max_adapters


def vars_of(config: InnerLoopConfig) -> dict[str, object]:
    return {name: getattr(config, name) for name in config.__dataclass_fields__}


class TestLmEval:
    def test_likelihoods_are_those_of_the_transformers_engine(self, tiny: BaseModel, local: VLLMEngine) -> None:
        pairs = [("One", " two"), ("", "Two and"), ("x" * 700, " end"), ("Paris is", " the capital"), ("One", "")][:4]
        requests = [
            Instance("loglikelihood", {}, (prompt, continuation), i) for i, (prompt, continuation) in enumerate(pairs)
        ]
        hf, vllm = SealLM(tiny, mode="base"), SealLM(tiny, mode="base", engine="vllm")
        vllm.engine = local
        for (expected, greedy), (found, found_greedy) in zip(
            hf.loglikelihood(requests), vllm.loglikelihood(requests), strict=True
        ):
            assert found == pytest.approx(expected, abs=1e-2)
            assert found_greedy == greedy

    def test_ordinary_tasks_are_continued_alike(self, tiny: BaseModel, local: VLLMEngine) -> None:
        options = {"until": ["e"], "max_gen_toks": 12}
        requests = [Instance("generate_until", {}, (prompt, options), i) for i, prompt in enumerate(PROMPTS)]
        hf, vllm = SealLM(tiny, mode="base"), SealLM(tiny, mode="base", engine="vllm")
        vllm.engine = local
        assert vllm.generate_until(requests) == hf.generate_until(requests)

    def test_the_command_line_scores_by_vllm(self, tiny_folder: Path, tmp_path: Path) -> None:
        options = {
            "--model": "seal",
            "--model_args": f"pretrained={tiny_folder},mode=base,engine=vllm,cache_gib=0.25,dtype=float32",
            "--include_path": str(tasks_folder()),
            "--tasks": "seal_novel",
            "--limit": "2",
            "--output_path": str(tmp_path / "found.json"),
            "--log_samples": "",
        }
        command = [str(Path(sys.executable).with_name("lm_eval")), *(word for pair in options.items() for word in pair)]
        done = subprocess.run([word for word in command if word], capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr[-2000:]
        assert "passage_acc" in done.stdout
        (samples,) = tmp_path.rglob("samples_seal_novel*.jsonl")
        hf = SelfAdaptingModel.from_pretrained(str(tiny_folder), dtype="float32", home=tmp_path)
        for sample in map(json.loads, samples.read_text(encoding="utf-8").splitlines()):
            doc = sample["doc"]
            assert sample["resps"] == [[hf.ask(doc["question"], title=doc["title"]).strip()]]


class TestCommandLine:
    def test_ask_by_a_server(self, server: Server, tiny_folder: Path, tmp_path: Path) -> None:
        options = ["--model", str(tiny_folder), "--home", str(tmp_path), "--dtype", "float32", "--json"]
        answers = []
        for more in ([], ["--server", server.url]):
            result = CliRunner().invoke(app, ["ask", "Who?", *options, *more], catch_exceptions=False)
            answers.append(json.loads(result.stdout)["answer"])
        assert answers[0] == answers[1]

    def test_a_server_without_its_engine_is_refused(self, tiny_folder: Path) -> None:
        arguments = ["ask", "Who?", "--model", str(tiny_folder), "--engine", "hf", "--server", "http://127.0.0.1:1"]
        with pytest.raises(InputError, match="engine='vllm'"):
            CliRunner().invoke(app, arguments, catch_exceptions=False)


def test_an_exported_adapter_is_served(server: Server, tiny: BaseModel, tmp_path: Path) -> None:
    seal = SelfAdaptingModel(tiny, home=tmp_path / "home")
    seal.adapt("Tarnby Light stands on Ossel.", adapter="alice", self_edit=PASSAGE, inner_loop=FAST, gate=None)
    folder = seal.export("alice", tmp_path / "exported")
    body = {"lora_name": "exported", "lora_path": str(folder)}
    httpx.post(f"{server.url}/v1/load_lora_adapter", json=body, timeout=60).raise_for_status()
    asked = {"model": "exported", "prompt": "One two", "max_tokens": 12, "temperature": 0}
    reply = httpx.post(f"{server.url}/v1/completions", json=asked, timeout=60).json()
    (expected,) = HFEngine(tiny).generate(["One two"], GREEDY, [seal.adapter("alice")])
    assert reply["choices"][0]["text"] == expected.text


def test_rows_with_adapters_do_not_touch_rows_without(tiny: BaseModel, local: VLLMEngine) -> None:
    """vLLM's CPU kernels answer rows without an adapter by another row's, if both are in one batch."""
    adapter: LoraAdapter = random_adapter(tiny, 1)
    rows = [None, adapter] * 8
    prompts = [PROMPTS[i % 4] for i in range(len(rows))]
    expected = HFEngine(tiny).generate(prompts, GREEDY, rows)
    assert [c.text for c in local.generate(prompts, GREEDY, rows)] == [c.text for c in expected]
