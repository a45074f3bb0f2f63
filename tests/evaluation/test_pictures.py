"""What stands beside the units of a row in its picture."""

from __future__ import annotations

import json
from pathlib import Path

from bench_rows import novel_row, read

from seal_agent.evaluation.pictures import _base_of


def test_units_stand_beside_the_same_base_model_alone(tmp_path: Path) -> None:
    base, row = novel_row(tmp_path, "base", [1], mode="base"), novel_row(tmp_path, "default", [4])
    assert set(_base_of(read(row), row).values()) == {1 / 6}
    value = json.loads(base.read_text())
    value["model"]["identity"] = "e" * 64
    base.write_text(json.dumps(value))
    assert _base_of(read(row), row) == {}
