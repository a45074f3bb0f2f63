"""benchmarks/import_rows.py: rows of older scripts keep only the figures that are known of them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def import_rows(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import import_rows

    yield import_rows
    parts = [name for name in sys.modules if name.partition(".")[0] == "parts"]
    for name in ("import_rows", *parts):
        sys.modules.pop(name, None)


def row(write: float, train: float) -> dict[str, float]:
    return {"seconds_to_write": write, "seconds_to_train": train}


def test_seconds_of_a_batch_that_mixed_two_domains_are_left_out(import_rows: ModuleType) -> None:
    shared, own = [row(10.0, 58.0), row(12.0, 80.0)], [row(11.0, 96.0), row(13.0, 104.0)]
    assert import_rows._costs(shared, [row(10.0, 58.0)]) == {}
    costs = import_rows._costs(own, shared)
    assert (costs["seconds_to_write"], costs["seconds_per_passage"]) == (12.0, 112.0)
    assert costs["adapters_per_hour"] == pytest.approx(3600 / 112)
