"""A worker of the outer loop on a local Ray that answers by a vLLM of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from outer_loop_fakes import CONFIG, domain

from seal_agent.config import VLLMConfig
from seal_agent.outer_loop.archive.run import Run
from seal_agent.outer_loop.executors.executor import InlineExecutor
from seal_agent.outer_loop.executors.ray import RayExecutor
from seal_agent.outer_loop.executors.workers import MakeWorker
from seal_agent.outer_loop.rest_em import rest_em
from seal_agent.outer_loop.rewards.reward import QuestionReward

VLLM = VLLMConfig(max_lora_rank=8, max_loras=2, max_cpu_loras=3, cache_gib=0.25)
TESTS = Path(__file__).parents[1]
ray = pytest.importorskip("ray", reason="Ray is not installed; make vllm installs it")
GREEDY = replace(CONFIG, rounds=1, self_edit=replace(CONFIG.self_edit, temperature=0.0, max_tokens=48))


@pytest.fixture
def cluster() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(map(str, (TESTS.parent, TESTS, TESTS / "support"))))
        patch.setenv("RAY_AUTH_TOKEN", "0" * 32)  # or Ray writes one into the home folder
        ray.init("local", num_cpus=2, include_dashboard=False, object_store_memory=2**27, log_to_driver=False)
        yield
        ray.shutdown()


def rounds(folder: Path, make: MakeWorker, executor: Any = None) -> str:
    of, worker = replace(domain(), self_edit=GREEDY.self_edit), replace(make, engine="hf")()
    executor = executor or InlineExecutor(worker)
    run = Run(folder, asdict(GREEDY), {})
    try:
        rest_em(of, QuestionReward(), GREEDY, worker=worker, executor=executor, run=run)
        return run.digest()
    finally:
        run.close()
        executor.close()


@pytest.mark.usefixtures("cluster")
def test_a_worker_with_a_vllm_of_its_own_finds_what_transformers_finds(tiny_folder: Path, tmp_path: Path) -> None:
    make = MakeWorker(str(tiny_folder), dtype="float32", engine="vllm", vllm=VLLM)
    assert rounds(tmp_path / "ray", make, RayExecutor(make, workers=1)) == rounds(tmp_path / "inline", make)
