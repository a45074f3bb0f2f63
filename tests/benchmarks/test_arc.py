"""benchmarks/arc.py: what is on file is not done again, and what its table's rows are made of."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from seal_agent.config import ARC_INNER_LOOPS, ArcConfig

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield
    for name in ("arc", "parts", "parts.results_file"):
        sys.modules.pop(name, None)


@pytest.mark.usefixtures("benchmarks")
def test_a_stopped_run_goes_on_with_the_same_settings_only(tmp_path: Path) -> None:
    from parts import results_file

    config = {"arc": asdict(ArcConfig()), "inner_loop": asdict(ARC_INNER_LOOPS["default"])}
    results_file.save(tmp_path / "a.json", config, {}, [{"task": "a"}])
    assert results_file.load(tmp_path / "a.json", config) == [{"task": "a"}]
    with pytest.raises(SystemExit, match=r"other settings \(seed\); give --out"):
        results_file.load(tmp_path / "a.json", {**config, "seed": 1})
    assert results_file.load(tmp_path / "b.json", config) == []


@pytest.mark.usefixtures("benchmarks")
def test_many_rows_stand_in_a_compressed_file_of_their_own(tmp_path: Path) -> None:
    from parts import results_file

    rows = [{"task": str(number), "answer": "ä" * 1000} for number in range(400)]
    results_file.save(tmp_path / "a.json", {"seed": 0}, {}, rows, summary={"solved": 1})
    assert (tmp_path / "a.json").stat().st_size < 1000
    assert results_file.load(tmp_path / "a.json", {"seed": 0}) == rows
    assert results_file.read(tmp_path / "a.json")["summary"] == {"solved": 1}
    results_file.save(tmp_path / "a.json", {"seed": 0}, {}, rows[:2])
    assert results_file.load(tmp_path / "a.json", {"seed": 0}) == rows[:2]


@pytest.mark.usefixtures("benchmarks")
def test_best_of_five_counts_a_task_that_one_has_solved_and_one_that_all_have_tried() -> None:
    import arc

    rows = [
        _row("easy", "fixed", True),
        _row("hard", "fixed", False),
        _row("unfinished", "fixed", False),
        *(_row("hard", f"drawn-{number}", number == 4) for number in range(1, 5)),
        _row("unfinished", "drawn-1", False),
    ]
    summary = arc.summarise(rows)
    assert (summary["best of 5"]["tasks"], summary["best of 5"]["solved"]) == (2, 1.0)
    assert (summary["random"]["tasks"], summary["random"]["solved"]) == (2, 0.0)
    assert (summary["fixed"]["tasks"], round(summary["fixed"]["solved"], 2)) == (3, 0.33)


def _row(task: str, way: str, solved: bool) -> dict[str, Any]:
    return {"task": task, "way": way, "solved": solved, "cells": float(solved), "failure": "", "seconds": 1.0}
