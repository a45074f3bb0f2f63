"""benchmarks/parts/results_file.py: what is on file is not done again, and what a file is made of."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest

from seal_agent.config import ARC_INNER_LOOPS, ArcConfig


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
