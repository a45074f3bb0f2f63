"""A model that sees answers texts through vLLM with its adapters, as through transformers.

vLLM's models that see need torchvision, of which the registry has only builds for CUDA: skipped where it is missing.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import random_adapter
from seeing_models import FAMILIES, shown, with_wider_heads, written

from seal_agent.base_model.loading import load_model
from seal_agent.config import VLLMConfig
from seal_agent.generation.hf import HFEngine
from seal_agent.generation.vllm.engine import VLLMEngine
from seal_agent.generation.vllm.local import LocalVLLM
from seal_agent.types import Sampling

pytest.importorskip("torchvision")


@pytest.mark.parametrize("name", ["qwen2.5-vl"])
def test_texts_are_answered_alike_with_every_adapter(name: str, tmp_path: Path) -> None:
    base = load_model(written(with_wider_heads(FAMILIES[name]), tmp_path), device="cpu", dtype="float32")
    prompts, sampling = [shown("Where is Tarawa?"), shown("And now for something")], Sampling(12)
    config = VLLMConfig(max_lora_rank=8, max_loras=2, max_cpu_loras=3, cache_gib=0.25, window=256)
    engine = VLLMEngine(base, LocalVLLM(base, config))
    try:
        for adapter in (None, random_adapter(base, 1), random_adapter(base, 2, 8, ("all",))):
            rows = [adapter] * len(prompts)
            expected = HFEngine(base).generate(prompts, sampling, rows)
            assert [one.text for one in engine.generate(prompts, sampling, rows)] == [one.text for one in expected]
    finally:
        engine.close()
