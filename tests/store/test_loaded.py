"""Adapters in memory: bounded in bytes, safe for threads, and never those that somebody forgot."""

from __future__ import annotations

import random
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import random_adapter
from fakes import ScriptedEngine
from hypothesis import given
from hypothesis import strategies as st
from stored_adapters import store

from seal_agent.adaptation.forget import erase
from seal_agent.base_model.model import BaseModel
from seal_agent.config import SelfEditConfig
from seal_agent.errors import AdapterError
from seal_agent.lora.adapter import LoraAdapter, LoraPair
from seal_agent.model import SelfAdaptingModel
from seal_agent.store.ledger import Ledger
from seal_agent.store.loaded import LoadedAdapters


def adapter_of(numbers: int) -> LoraAdapter:
    """An adapter of so many float32 values."""
    import torch

    return LoraAdapter(1, 1.0, {"layer": LoraPair(torch.zeros(numbers - 1, 1), torch.zeros(1, 1))})


SMALL = adapter_of(10)  # 40 bytes


def test_what_was_used_longest_ago_is_dropped() -> None:
    loaded = LoadedAdapters(max_bytes=100)
    loaded["a"] = loaded["b"] = SMALL
    assert loaded["a"] is SMALL
    loaded["c"] = SMALL
    assert list(loaded) == ["a", "c"]
    assert loaded.bytes == 80


def test_one_larger_than_the_limit_stays_until_another_is_used() -> None:
    loaded = LoadedAdapters(max_bytes=100)
    loaded["a"] = SMALL
    loaded["b"] = adapter_of(1000)
    assert (list(loaded), loaded.bytes) == (["b"], 4000)
    loaded["c"] = SMALL
    assert (list(loaded), loaded.bytes) == (["c"], 40)


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(2, 40), st.booleans())))
def test_the_bytes_are_counted_rightly_and_stay_below_the_limit(steps: list[tuple[str, int, bool]]) -> None:
    loaded = LoadedAdapters(max_bytes=400)
    for revision, numbers, put in steps:
        if put:
            loaded[revision] = adapter_of(numbers)
        else:
            loaded.drop([revision])
        assert loaded.bytes == sum(4 * adapter.parameters for adapter in loaded.values()) <= 400


def test_many_threads_may_use_it() -> None:
    loaded = LoadedAdapters(max_bytes=200)

    def use(seed: int) -> None:
        draw = random.Random(seed)
        for _ in range(500):
            loaded.setdefault(draw.choice("abcdefgh"), SMALL)
            loaded.drop([draw.choice("abcdefgh")])
            list(loaded)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(use, range(8)))
    assert loaded.bytes == 40 * len(loaded) <= 200


# ---------------------------------------------------------------- in a model


@pytest.fixture
def model(tiny_base: BaseModel, tmp_path: Path) -> SelfAdaptingModel:
    return SelfAdaptingModel(tiny_base, home=tmp_path, engine=ScriptedEngine())


def test_a_model_keeps_no_more_than_its_limit_and_reads_the_rest_again(tiny_base: BaseModel, tmp_path: Path) -> None:
    weights = [random_adapter(tiny_base, seed) for seed in range(5)]
    size = 4 * weights[0].parameters
    model = SelfAdaptingModel(tiny_base, home=tmp_path, engine=ScriptedEngine(), max_loaded_bytes=3 * size)
    for i, adapter in enumerate(weights):
        store(model, f"user{i}", adapter)
    for _ in range(2):
        for i, adapter in enumerate(weights):
            used = model.adapter(f"user{i}")
            assert used is not None
            assert all((used.pairs[name].b_RO == pair.b_RO).all() for name, pair in adapter.pairs.items())
            assert model._loaded.bytes <= 3 * size
    assert len(model._loaded) == 3


def test_threads_that_load_the_same_revision_get_one_object(model: SelfAdaptingModel, tiny_base: BaseModel) -> None:
    store(model, "user", random_adapter(tiny_base, 1))
    with ThreadPoolExecutor(8) as pool:
        loaded = list(pool.map(lambda _: model.adapter("user"), range(16)))
    assert len({id(adapter) for adapter in loaded}) == 1


def test_what_another_process_forgot_is_neither_answered_nor_kept(
    model: SelfAdaptingModel, tiny_base: BaseModel
) -> None:
    gone, kept = (store(model, name, random_adapter(tiny_base, seed)) for seed, name in enumerate(("gone", "kept")))
    for revision in (gone, kept):
        model.weights_of(revision)
    erase(Ledger(model.home), gone)  # as `seal forget` does
    assert model.weights_of(kept) is not None
    assert set(model._loaded) == {kept}, "any call drops what was forgotten"
    with pytest.raises(AdapterError, match="was forgotten on"):
        model.weights_of(gone)
    assert model.adapter("gone") is None


def test_a_policy_that_another_process_forgot_writes_no_more(tiny_base: BaseModel, tmp_path: Path) -> None:
    writers: list[LoraAdapter | None] = []

    def write(_: str, adapter: LoraAdapter | None) -> str:
        writers.append(adapter)
        return "Tarawa is the capital."

    first = SelfAdaptingModel(tiny_base, home=tmp_path, engine=ScriptedEngine(write))
    revision = store(first, "writer", random_adapter(tiny_base, 1))
    model = SelfAdaptingModel(tiny_base, home=tmp_path, engine=first.engine, policy="writer", max_loaded_bytes=0)
    store(first, "other", random_adapter(tiny_base, 2))
    model.adapter("other")  # drops the policy's weights from the mapping, not from the model
    notes = SelfEditConfig(formats=("implications",))
    model.propose("Tarawa is the capital of Kiribati.", self_edit=notes)
    assert any(writers)
    writers.clear()
    erase(Ledger(tmp_path), revision)
    model.propose("Tarawa is the capital of Kiribati.", self_edit=notes)
    assert writers
    assert not any(writers)
    assert model.policy is None


def test_the_look_into_the_ledger_costs_well_under_a_millisecond(
    model: SelfAdaptingModel, tiny_base: BaseModel
) -> None:
    revision = store(model, "user", random_adapter(tiny_base, 1))
    model.weights_of(revision)
    with model.ledger.database.write() as db:
        rows = [(f"r{i}", "a", "2026", "2026", None) for i in range(1000)]
        db.executemany("INSERT INTO forgotten VALUES (?, ?, ?, ?, ?)", rows)
    seconds = []
    for _ in range(50):
        started = time.perf_counter()
        model.weights_of(revision)
        seconds.append(time.perf_counter() - started)
    assert statistics.median(seconds) < 0.0005
