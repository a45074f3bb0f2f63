"""benchmarks/tuning.py and votes.py: strategies spend the same budget; votes help, or collapse."""

from __future__ import annotations

import argparse
from dataclasses import replace
from types import ModuleType

import pytest

from seal_agent.config import RECIPES

pytestmark = pytest.mark.usefixtures("benchmarks")


@pytest.fixture
def tuning() -> ModuleType:
    import tuning

    return tuning


@pytest.fixture
def votes() -> ModuleType:
    import votes

    return votes


def test_all_strategies_spend_about_the_same_budget_and_each_has_a_winner(tuning: ModuleType) -> None:
    rows = tuning.simulate(0, argparse.Namespace(budget=[60, 120]))
    assert [row["strategy"] for row in rows] == 2 * [*tuning.STRATEGIES, tuning.DEFAULT]
    assert all(0 <= row["reached"] <= 1 for row in rows)
    assert all(0.75 * row["budget"] <= row["passages"] <= row["budget"] for row in rows if "passages" in row)
    summary = tuning.summarise(rows)
    assert set(summary["budgets"]) == {"60", "120"}
    compared = summary["budgets"]["120"]
    assert set(compared["ahead_of"]) == {*tuning.STRATEGIES, tuning.DEFAULT} - {tuning.OURS}
    assert "interval" not in compared["ahead_of"]["random search"], "one model is no interval"
    assert "| 120 | the default recipe |" in tuning.table(summary)


def test_rivals_begin_with_the_default_alone(tuning: ModuleType) -> None:
    roots = tuning.named_candidates()
    config, passages = tuning.TuneConfig(), tuning.passages(24)
    for name in ("random search", "random steps", "successive halving", "successive halving, steps"):
        archive = tuning.STRATEGIES[name](roots, passages, config, tuning.Landscape(0), 400)
        assert [candidate.name for candidate in archive if candidate.name] == ["default"], name
        assert len(archive) >= 16


def row(tuning: ModuleType, seed: int, strategy: str, scores: dict[str, float]) -> dict[str, object]:
    return {"seed": seed, "budget": 9, "strategy": strategy, "reached": None, "scores": scores}


def test_real_winners_are_compared_passage_by_passage_and_what_one_lacks_counts_for_neither(
    tuning: ModuleType,
) -> None:
    names = "abcdefg"
    ours = dict.fromkeys(names[:6], 0.8)
    theirs = {name: 0.5 for name in names if name != "b"}
    rows = [row(tuning, 0, tuning.OURS, ours), row(tuning, 1, tuning.OURS, {}), row(tuning, 0, "random search", theirs)]
    (compared,) = tuning.summarise(rows)["budgets"].values()
    assert compared["ahead_of"]["random search"] == {"mean": 0.3, "interval": [0.3, 0.3], "values": 5}
    assert compared["reached"][tuning.OURS]["values"] == 6


def test_winners_and_the_default_are_measured_on_the_same_passages_and_harm_loses_them(tuning: ModuleType) -> None:
    roots, landscape, config = tuning.named_candidates(), tuning.Landscape(0), tuning.TuneConfig()
    twice = [roots[0], roots[1], roots[0]]
    judged = tuning.side_by_side(twice, tuning.passages(8), landscape, config)
    assert list(judged) == [roots[0].id, roots[1].id]
    assert set(judged[roots[0].id]) == set(judged[roots[1].id])
    harmless = replace(config, max_harm=1e-9)
    assert set(tuning.side_by_side(twice, tuning.passages(8), landscape, harmless)[roots[0].id].values()) == {0.0}


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
