"""Every architecture of the zoo as users touch it: learn with both recipes, ask, roll back, export."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from zoo.models import ZooModel, zoo_parameters

from seal_agent.config import RECIPES
from seal_agent.lora.peft_files import read_peft
from seal_agent.model import SelfAdaptingModel
from seal_agent.types import Question

TEXT = "Marta Holm built a lighthouse on Veyra in 1843. Its lamp burned oil."
QUESTIONS = (Question("Who built the lighthouse?", ("Marta Holm",)),)


PAPER_TOO = {"llama", "gpt2", "qwen2-moe", "mamba"}
"""Learnt by both recipes in `make test`; the others by the default recipe alone, and by both in `make zoo`."""


def parameters() -> list[Any]:
    """Every model of the zoo with each recipe."""
    pairs = [(model, recipe) for model in zoo_parameters() for recipe in ("paper", "default")]
    return [
        pytest.param(
            *model.values,
            recipe,
            id=f"{model.id}-{recipe}",
            marks=pytest.mark.slow if recipe == "paper" and model.id not in PAPER_TOO else model.marks,
        )
        for model, recipe in pairs
    ]


@pytest.mark.parametrize(("zoo_model", "recipe"), parameters())
def test_a_text_is_learnt_asked_rolled_back_and_exported(zoo_model: ZooModel, recipe: str, tmp_path: Path) -> None:
    settings = RECIPES[recipe]
    self_edit, inner_loop = replace(settings.self_edit, max_tokens=24), replace(settings.inner_loop, epochs=3)
    model = SelfAdaptingModel(zoo_model.base(), home=tmp_path / "store")

    before = model.ask(QUESTIONS[0].text, title="Veyra")
    revision = model.adapt(
        TEXT, title="Veyra", questions=QUESTIONS, self_edit=self_edit, inner_loop=inner_loop, gate=None
    )
    losses = revision.training.epoch_losses
    assert all(map(math.isfinite, losses))
    assert losses[-1] < losses[0]
    after = model.ask(QUESTIONS[0].text, title="Veyra")
    assert after == revision.after[0].text.strip()

    model.export("default", tmp_path / "exported")
    exported, identity = read_peft(tmp_path / "exported")
    assert identity == model.base.identity
    assert exported.pairs.keys() == model.adapter("default").pairs.keys()
    again = SelfAdaptingModel(zoo_model.base(), home=tmp_path / "store")
    assert again.ask(QUESTIONS[0].text, title="Veyra") == after

    again.rollback("default")
    assert again.ask(QUESTIONS[0].text, title="Veyra") == before
