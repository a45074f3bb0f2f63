"""Engines by name."""

from __future__ import annotations

import weakref
from pathlib import Path

from seal_agent.base_model.model import BaseModel
from seal_agent.config import EngineName, VLLMConfig
from seal_agent.errors import InputError
from seal_agent.generation.engine import Engine
from seal_agent.generation.hf import MAX_BATCH_ROWS, HFEngine

ENGINES: tuple[EngineName, ...] = ("hf", "vllm")


def check_engine(name: str, vllm: VLLMConfig | None = None) -> None:
    """Raises InputError for an engine that does not exist, or settings of vLLM without it."""
    if name not in ENGINES:
        raise InputError(f"there is no engine {name!r}; use {' or '.join(map(repr, ENGINES))}")
    if vllm and vllm.server and name != "vllm":
        raise InputError(f"server={vllm.server} is for engine='vllm'; name that engine, or leave the server out")


def make_engine(
    base: BaseModel, name: str = "hf", vllm: VLLMConfig | None = None, *, max_rows: int = MAX_BATCH_ROWS
) -> Engine:
    """The engine of this name for a model.

    Args:
        vllm: How vLLM is started or reached; nothing is started before the first question.
        max_rows: Rows that HFEngine decodes at once.

    Raises InputError.
    """
    check_engine(name, vllm)
    if name == "hf":
        return HFEngine(base, max_rows)
    from seal_agent.generation.vllm.engine import VLLMEngine
    from seal_agent.generation.vllm.local import LocalVLLM
    from seal_agent.generation.vllm.server import ServedVLLM

    config = vllm or VLLMConfig()
    backend = ServedVLLM(base, config) if config.server else LocalVLLM(base, config)
    folder = Path(config.adapter_folder).expanduser() if config.adapter_folder else None
    engine = VLLMEngine(base, backend, folder)
    weakref.finalize(engine, backend.close)
    return engine
