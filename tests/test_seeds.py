"""Neighbouring seeds, rows and epochs draw from streams of their own."""

from __future__ import annotations

import random
from itertools import combinations

import pytest
import torch

from seal_agent.generation.sampling import seed_of_row
from seal_agent.seeds import derived_seed
from seal_agent.self_edits.cues import cues_of
from seal_agent.self_edits.questions import statements_of


def test_a_derived_seed_fits_both_generators_and_is_always_the_same() -> None:
    seeds = [derived_seed(seed, "epoch", epoch) for seed in (-1, 0, 1, 2**70) for epoch in range(50)]
    assert len(set(seeds)) == len(seeds)
    for seed in seeds:
        torch.Generator().manual_seed(seed)
        random.Random(seed)


def test_names_and_numbers_are_different_paths() -> None:
    assert len({derived_seed(0, "1"), derived_seed(0, 1), derived_seed(0, "1", 1), derived_seed(0, 11)}) == 4


def test_rows_of_neighbouring_seeds_share_no_stream() -> None:
    """With `seed + row`, two neighbouring seeds shared 19 of 20 rows."""
    streams = [{seed_of_row(seed, row) for row in range(20)} for seed in range(-3, 4)]
    assert all(len(rows) == 20 for rows in streams)
    assert not any(one & other for one, other in combinations(streams, 2))


@pytest.mark.parametrize("seed", [0, 7, -1, 2**63 - 1, 2**80])
def test_any_row_can_be_drawn_again_alone(seed: int) -> None:
    assert seed_of_row(seed_of_row(seed, 5), 0) == seed_of_row(seed, 5)


TEXT = (
    "In 1843 the engineer Marta Holm built a stone lighthouse on the island of Veyra for the harbour company of Lund. "
    "Its lamp burned whale oil, was visible for nineteen miles, and guided the grain ships between Lund and Tarn."
)


def test_seeds_share_few_epochs_of_cues() -> None:
    """With `seed + epoch`, runs with seeds 0, 1 and 2 asked nearly the same cues, an epoch later."""
    (source, _) = statements_of("Veyra", TEXT)
    drawn = {
        seed: [tuple(cues_of(source, 3, derived_seed(seed, "epoch", epoch))) for epoch in range(10)]
        for seed in (0, 1, 2)
    }
    for one, other in combinations(drawn.values(), 2):
        assert len(set(one) & set(other)) <= 2
