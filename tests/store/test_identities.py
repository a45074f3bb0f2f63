"""Stores outlast changes of a model's files, and of how its identity is made."""

from __future__ import annotations

import json
import sqlite3
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import llama, tokenizer
from fakes import ScriptedEngine

from seal_agent.base_model.loading import load_model
from seal_agent.base_model.model import BaseModel
from seal_agent.config import RECIPES, SelfEditConfig
from seal_agent.errors import AdapterError, BaseModelWarning
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.model import SelfAdaptingModel
from seal_agent.types import Revision

QUICK = replace(RECIPES["paper"].inner_loop, rank=4, alpha=8.0, epochs=2, learning_rate=1e-2)
NOTES = SelfEditConfig(formats=("implications",), self_test=0)
TEXT, OTHER, THIRD = "Tarawa is the capital of Kiribati.", "Banaba is a raised island.", "Majuro is an atoll."


@pytest.fixture
def folder(tmp_path: Path, save_model: Callable[[BaseModel, Path], Path]) -> Path:
    return save_model(BaseModel("tiny", llama(), tokenizer(chat=True), ""), tmp_path / "model")


def loaded(folder: Path) -> BaseModel:
    return load_model(folder, device="cpu", dtype="float32")


def opened(base: BaseModel, home: Path) -> SelfAdaptingModel:
    return SelfAdaptingModel(base, home=home, engine=ScriptedEngine({"": "Tarawa is the capital of Kiribati."}))


def adapt(model: SelfAdaptingModel, text: str) -> Revision:
    return model.adapt(text, adapter="a", inner_loop=QUICK, self_edit=NOTES, gate=None)


def weights(model: SelfAdaptingModel) -> LoraAdapter:
    adapter = model.adapter("a")
    assert adapter is not None
    return adapter


def same(left: LoraAdapter, right: LoraAdapter) -> bool:
    return all(torch.equal(left.pairs[name].b_RO, right.pairs[name].b_RO) for name in left.pairs)


def edit_json(path: Path, **values: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.fixture
def earlier_store(folder: Path, tmp_path: Path) -> Path:
    """A store as it was written before identities followed weights: three revisions of one adapter."""
    home, base = tmp_path / "home", loaded(folder)
    assert base.former_identity
    model = opened(replace(base, identity=base.former_identity, source="", settings=(), memo={}), home)
    for text in (TEXT, OTHER, THIRD):
        adapt(model, text)
    with sqlite3.connect(home / "ledger.sqlite") as db:
        db.execute("DROP TABLE identities")
        for name, body in db.execute("SELECT id, body FROM revisions").fetchall():
            row = json.loads(body)
            del row["base_settings"]
            db.execute("UPDATE revisions SET body = ? WHERE id = ?", (json.dumps(row), name))
    return home


def test_an_earlier_store_goes_on_working(earlier_store: Path, folder: Path) -> None:
    base = loaded(folder)
    model = opened(base, earlier_store)
    before = weights(model)
    history = model.history("a")
    assert [revision.context.text for revision in history] == [TEXT, OTHER, THIRD]
    assert {revision.base for revision in history} == {base.identity}
    newest = adapt(model, "Nauru is an island.")
    assert newest.parent == history[-1].id
    assert not same(weights(model), before)
    assert model.rollback("a") == history[-1]
    assert same(weights(model), before)


def test_an_earlier_store_outlasts_the_next_transformers_once_it_was_opened(earlier_store: Path, folder: Path) -> None:
    before = weights(opened(loaded(folder), earlier_store))
    edit_json(folder / "config.json", transformers_version="9.0.0")
    loaded(folder).module.save_pretrained(folder, max_shard_size="40KB")
    (folder / "model.safetensors").unlink()
    assert same(weights(opened(loaded(folder), earlier_store)), before)


def test_what_an_earlier_store_learnt_can_be_forgotten(earlier_store: Path, folder: Path) -> None:
    model = opened(loaded(folder), earlier_store)
    _, second, _ = model.history("a")
    model.forget(second.id)
    assert [revision.context.text for revision in model.history("a")] == [TEXT, THIRD]
    assert weights(opened(loaded(folder), earlier_store))


def test_an_earlier_store_of_another_model_stays_refused(
    earlier_store: Path, tmp_path: Path, save_model: Callable[[BaseModel, Path], Path]
) -> None:
    other = save_model(BaseModel("other", llama(seed=1), tokenizer(chat=True), ""), tmp_path / "other")
    with pytest.raises(AdapterError, match="was trained on another base model"):
        opened(loaded(other), earlier_store).adapter("a")


def test_a_proposal_of_before_is_still_committed(folder: Path, tmp_path: Path) -> None:
    base = loaded(folder)
    assert base.former_identity
    then = replace(base, identity=base.former_identity, source="", memo={})
    proposal = opened(then, tmp_path / "home").propose(TEXT, adapter="a", self_edit=NOTES)
    revision = opened(base, tmp_path / "home").commit(proposal, inner_loop=QUICK)
    assert revision.accepted
    assert weights(opened(base, tmp_path / "home"))


def test_an_adapter_is_used_under_another_chat_template_and_it_says_so(folder: Path, tmp_path: Path) -> None:
    model = opened(loaded(folder), tmp_path / "home")
    adapt(model, TEXT)
    template = folder / "chat_template.jinja"
    template.write_text("Be brief.\n" + template.read_text())
    again = opened(loaded(folder), tmp_path / "home")
    with pytest.warns(BaseModelWarning, match="adapter 'a' was trained with other settings .*: the chat template was"):
        assert same(weights(again), weights(model))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again.ask("Where?", adapter="a")


def test_nothing_is_said_where_nothing_changed(folder: Path, tmp_path: Path) -> None:
    adapt(opened(loaded(folder), tmp_path / "home"), TEXT)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        weights(opened(loaded(folder), tmp_path / "home"))
