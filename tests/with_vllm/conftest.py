"""vLLM itself on the CPU, with a tiny random model and with the bundled one. Run by `make test-vllm`."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from conftest import tokenizer, with_reader
from transformers import LlamaConfig, LlamaForCausalLM
from vllm_server import Server

from seal_agent.base_model.loading import load_model
from seal_agent.base_model.model import BaseModel
from seal_agent.config import VLLMConfig
from seal_agent.generation.vllm.engine import VLLMEngine
from seal_agent.generation.vllm.local import LocalVLLM
from seal_agent.generation.vllm.server import ServedVLLM

collect_ignore_glob = [] if find_spec("vllm") else ["*"]

WINDOW = 512


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.timeout(400))


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


CONFIG = VLLMConfig(max_lora_rank=8, max_loras=2, max_cpu_loras=3, cache_gib=0.25)


@pytest.fixture(scope="session")
def server(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    running = Server(tiny_folder, folder / "log", folder / "home")
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def remote(tiny: BaseModel, server: Server) -> VLLMEngine:
    config = VLLMConfig(server=server.url, max_loras=2, max_cpu_loras=3, timeout=120)
    return VLLMEngine(tiny, ServedVLLM(tiny, config))
