"""Every architecture of the zoo is loaded from a folder, as people have it, and says what the model in memory says."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close
from zoo.models import ZOO, ZooModel, zoo_parameters

from seal_agent.base_model.loading import load_model
from seal_agent.errors import PartlyTrainedWarning
from seal_agent.model import SelfAdaptingModel

ZOO_BY_NAME = {model.name: model for model in ZOO}


@pytest.mark.parametrize("zoo_model", zoo_parameters())
def test_a_saved_folder_is_loaded_and_scores_the_same(zoo_model: ZooModel, tmp_path: Path) -> None:
    base = zoo_model.base()
    base.module.save_pretrained(tmp_path)
    base.tokenizer.save_pretrained(tmp_path)
    loaded = load_model(tmp_path, device="cpu", dtype="float32")
    ids = torch.tensor([base.content_ids("The lighthouse stands on a rock.")])
    with torch.no_grad():
        assert_close(loaded.module(input_ids=ids).logits, base.module(input_ids=ids).logits, atol=1e-5, rtol=1e-5)
    assert loaded.window == base.window


@pytest.mark.parametrize(("name", "says"), [("mixtral", True), ("qwen3-moe", True), ("llama", False)])
def test_what_no_adapter_trains_is_said_when_the_model_is_loaded(name: str, says: bool, tmp_path: Path) -> None:
    base = ZOO_BY_NAME[name].base()
    base.module.save_pretrained(tmp_path / "model")
    base.tokenizer.save_pretrained(tmp_path / "model")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        SelfAdaptingModel.from_pretrained(tmp_path / "model", home=tmp_path / "store")
    said = [str(one.message) for one in caught if issubclass(one.category, PartlyTrainedWarning)]
    assert bool(said) == says
    assert not says or "experts" in said[0]
