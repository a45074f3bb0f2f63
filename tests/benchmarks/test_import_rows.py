"""benchmarks/import_rows.py: rows of older scripts keep only the figures that are known of them."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def import_rows(benchmarks: Path) -> ModuleType:
    import import_rows

    return import_rows


def row(write: float, train: float) -> dict[str, float]:
    return {"seconds_to_write": write, "seconds_to_train": train}


def test_seconds_of_a_batch_that_mixed_two_domains_are_left_out(import_rows: ModuleType) -> None:
    shared, own = [row(10.0, 58.0), row(12.0, 80.0)], [row(11.0, 96.0), row(13.0, 104.0)]
    assert import_rows._costs(shared, [row(10.0, 58.0)]) == {}
    costs = import_rows._costs(own, shared)
    assert (costs["seconds_to_write"], costs["seconds_per_passage"]) == (12.0, 112.0)
    assert costs["adapters_per_hour"] == pytest.approx(3600 / 112)
