"""The outer loop learns where good self-edits are known: benchmarks/outer_loop_toy.py, once through."""

from __future__ import annotations

import argparse
import importlib.util
import random
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The benchmark as a module."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    spec = importlib.util.spec_from_file_location("outer_loop_toy", BENCHMARKS / "outer_loop_toy.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "outer_loop_toy", module)
    spec.loader.exec_module(module)
    return module


def test_a_context_has_four_sentences_one_of_them_marked(toy: ModuleType) -> None:
    text, marked = toy.draw_context(random.Random(0))
    sentences = text.split(" . ")
    assert len(sentences) == 4
    assert [s.removeprefix("! ") for s in sentences if s.startswith("! ")] == [marked]


@pytest.mark.slow
def test_the_policy_learns_to_copy_the_sentence_that_will_be_asked_about(toy: ModuleType) -> None:
    rows = toy.measure(0, argparse.Namespace(rounds=4, contexts=24, edits=5))
    first, last = rows[0], rows[-1]
    assert last["copied"] > 1.5 * first["copied"]
    assert last["reporting"] > first["reporting"] + 0.1
