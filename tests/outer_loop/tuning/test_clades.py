"""Whose child comes next: by the clade, or by the Darwin-Gödel Machine's rule."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from seal_agent.outer_loop.tuning.clades import Node, clade_outcomes, draw_parent, draw_promising, least_belief

FAMILY = (
    Node("root", None, 2, 8),
    Node("fruitful", "root", 3, 7),  # poor itself, with a descendant that wins
    Node("grandchild", "fruitful", 38, 2),
    Node("barren", "root", 5, 5),  # better itself, with a descendant that loses
    Node("lost", "barren", 0, 40),
)


def drawn(rule: str, nodes: tuple[Node, ...] = FAMILY, count: int = 400, among: tuple[str, ...] = ()) -> Counter[str]:
    return Counter(draw_parent(nodes, rule, random.Random(seed), among) for seed in range(count))


def test_a_clade_is_a_member_with_all_its_descendants():
    outcomes = clade_outcomes(FAMILY)
    assert outcomes["grandchild"] == (38, 2)
    assert outcomes["fruitful"] == (41, 9)
    assert outcomes["barren"] == (5, 45)
    assert outcomes["root"] == (48, 62)


def test_the_clade_rule_prefers_whose_descendants_win_over_who_wins_itself():
    counts = drawn("clade", among=("fruitful", "barren"))
    assert counts["fruitful"] > 390


def test_dgms_rule_prefers_the_better_and_those_with_fewer_children():
    assert drawn("dgm", among=("fruitful", "barren"))["barren"] > 300
    same = (Node("a", None, 5, 5), Node("b", None, 5, 5), Node("c", "b", 0, 0), Node("d", "b", 0, 0))
    counts = drawn("dgm", same, among=("a", "b"))
    assert counts["a"] / counts["b"] == pytest.approx(3, rel=0.35), "1 / (1 + 0) against 1 / (1 + 2)"


def test_a_member_that_was_not_measured_gets_its_chance():
    nodes = (Node("sure", None, 12, 8), Node("new", "sure", 0, 0))
    counts = Counter(draw_promising(nodes, random.Random(seed)) for seed in range(400))
    assert 80 < counts["new"] < 240


def test_the_belief_in_a_share_of_wins_grows_with_what_was_measured():
    assert least_belief(2, 0, 0.05) < least_belief(20, 4, 0.05) < least_belief(200, 40, 0.05)
    assert least_belief(0, 0, 0.05) == pytest.approx(0.05, abs=0.01)
