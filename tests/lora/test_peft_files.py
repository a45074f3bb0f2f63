"""A PEFT folder is read where LoRA alone describes it, whatever else PEFT can do now or later."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import random_adapter
from torch.testing import assert_close

from seal_agent.adaptation.stored_adapters import StoredAdapters
from seal_agent.base_model.model import BaseModel
from seal_agent.errors import AdapterError
from seal_agent.lora.peft_files import CONFIG, read_peft, write_peft
from seal_agent.lora.routing import routed
from seal_agent.lora.serving import serving_route

IDS = torch.arange(10, 22).reshape(1, 12)


def saved_by_peft(base: BaseModel, folder: Path, **settings: Any) -> Any:
    """A folder that PEFT wrote, and PEFT's model."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM", **settings)
    torch.manual_seed(0)
    model = get_peft_model(copy.deepcopy(base.module), config).eval()
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.2)
    model.save_pretrained(folder)
    return model


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"lora_dropout": 0.1},
        {"init_lora_weights": "gaussian"},
        {"init_lora_weights": "orthogonal"},
        {"layers_to_transform": [1]},
        {"exclude_modules": ["nothing"]},
    ],
    ids=str,
)
def test_a_folder_of_plain_lora_means_what_it_means_to_peft(
    tiny_base: BaseModel, tmp_path: Path, settings: dict[str, Any]
) -> None:
    theirs = saved_by_peft(tiny_base, tmp_path, **settings)
    adapter, _ = read_peft(tmp_path)
    with torch.no_grad(), routed(serving_route(tiny_base.module, [adapter], tiny_base.device, tiny_base.dtype)):
        ours = tiny_base.module(input_ids=IDS).logits
    with torch.no_grad():
        assert_close(ours, theirs(input_ids=IDS).logits, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("start", ["pissa", "pissa_niter_4", "olora"])
def test_a_folder_whose_base_was_changed_is_refused(tiny_base: BaseModel, tmp_path: Path, start: str) -> None:
    saved_by_peft(tiny_base, tmp_path, init_lora_weights=start)
    with pytest.raises(AdapterError, match=f"not plain LoRA.*init_lora_weights='{start}'"):
        read_peft(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"alora_invocation_tokens": [5, 6]},
        {"layer_replication": [[0, 2], [1, 2]]},
        {"use_dora": True},
        {"use_rslora": True},
        {"rank_pattern": {"q_proj": 2}},
        {"alpha_pattern": {"q_proj": 2}},
        {"bias": "lora_only"},
        {"lora_bias": True},
        {"modules_to_save": ["lm_head"]},
        {"trainable_token_indices": [1]},
        {"target_parameters": ["experts.gate_up_proj"]},
        {"init_lora_weights": "corda"},
        {"use_qalora": True},
        {"arrow_config": {"arrow_top_k": 2}},
        {"a_setting_of_next_year": 1},
    ],
    ids=lambda change: next(iter(change)),
)
def test_any_setting_that_lora_alone_does_not_have_is_refused_by_name(
    tiny_base: BaseModel, tmp_path: Path, change: dict[str, Any]
) -> None:
    write_peft(random_adapter(tiny_base, 1), "tiny", tiny_base.identity, tmp_path)
    read_peft(tmp_path)
    config = json.loads((tmp_path / CONFIG).read_text())
    (tmp_path / CONFIG).write_text(json.dumps({**config, **change}))
    with pytest.raises(AdapterError, match=f"not plain LoRA.*{next(iter(change))}"):
        read_peft(tmp_path)


def test_an_export_names_what_peft_can_load(
    tiny_base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not "default", nor a path that means another folder elsewhere, nor a GGUF file, but what that became."""
    (tmp_path / "models" / "own").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    own = str(tmp_path / "models" / "own")
    for name, source, expected in (
        ("default", own, "HuggingFaceTB/SmolLM2-135M-Instruct"),
        ("models/own", "models/own", own),
        ("tiny.Q4.gguf", own, own),
        ("someone/tiny", "someone/tiny", "someone/tiny"),
        ("made in memory", "", "made in memory"),
    ):
        stored = StoredAdapters()
        stored.base = replace(tiny_base, name=name, source=source)
        monkeypatch.setattr(stored, "adapter", lambda _: random_adapter(tiny_base, 0), raising=False)
        folder = stored.export("default", tmp_path / "out" / name.replace("/", "-"))
        assert json.loads((folder / CONFIG).read_text())["base_model_name_or_path"] == expected
