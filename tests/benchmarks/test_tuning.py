"""benchmarks/tuning.py and votes.py: strategies spend the same budget; votes help, or collapse."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from seal_agent.config import RECIPES

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield
    parts = [name for name in sys.modules if name.partition(".")[0] == "parts"]
    for name in ("tuning", "votes", *parts):
        sys.modules.pop(name, None)


@pytest.fixture
def tuning() -> ModuleType:
    import tuning

    return tuning


@pytest.fixture
def votes() -> ModuleType:
    import votes

    return votes


def test_all_strategies_spend_about_the_same_budget_and_each_has_a_winner(tuning: ModuleType) -> None:
    rows = tuning.simulate(0, argparse.Namespace(budget=120))
    assert [row["strategy"] for row in rows] == list(tuning.STRATEGIES)
    assert all(0 <= row["reached"] <= 1 for row in rows)
    assert all(90 <= row["passages"] <= 120 + 4 * 18 for row in rows), "a step of the archive is done to its end"
    summary = tuning.summarise(rows)
    assert set(summary["ahead_of"]) == set(tuning.STRATEGIES) - {"archive, clades"}
    assert "| the default recipe |" in tuning.table(summary)


def test_the_landscape_has_a_dose_that_teaches_and_one_that_harms(tuning: ModuleType) -> None:
    landscape, default = tuning.Landscape(0), RECIPES["default"]
    high = replace(default, inner_loop=replace(default.inner_loop, epochs=15, learning_rate=5e-3))
    assert landscape.harm(high) > landscape.harm(default)
    assert landscape.quality(high) < landscape.quality(default)
    unprotected = replace(default, inner_loop=replace(default.inner_loop, null_space=0.0, shrink=0.0, alpha=64.0))
    guarded = replace(unprotected, inner_loop=replace(unprotected.inner_loop, null_space=0.6))
    assert landscape.harm(guarded) < landscape.harm(unprotected)


def test_votes_help_where_the_writer_is_sure_and_collapse_where_it_is_not(votes: ModuleType) -> None:
    sure = votes.simulate(votes.BEGINNINGS["sure"], {}, 0, 12)
    assert sure["accuracies"][-1] > sure["accuracies"][0] + 0.1
    unsure = votes.simulate(votes.BEGINNINGS["unsure"], {}, 0, 12)
    assert unsure["accuracies"][-1] < 0.05 < unsure["accuracies"][0]
    assert unsure["rewards"][-1] > unsure["rewards"][0], "it rewards itself all the same"
    assert unsure["stopped_at"] <= 3
    assert unsure["accuracy_when_stopped"] > 0.2
    taught = votes.simulate(votes.BEGINNINGS["unsure"], votes.REMEDIES["curriculum"], 0, 12)
    assert taught["accuracies"][-1] > taught["accuracies"][0]
