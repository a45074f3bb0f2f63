"""The benchmarks of a GPU's rows run on the processor too, at tiny sizes, and print what they promise."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def run(script: str, *arguments: str) -> tuple[str, dict[str, Any]]:
    """What a benchmark prints, and the line of JSON at its end."""
    command = [sys.executable, str(BENCHMARKS / script), "--device", "cpu", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=500)
    *lines, last = done.stdout.strip().splitlines()
    return "\n".join(lines), json.loads(last)


@pytest.mark.slow
def test_training_speed_with_launches_of_a_random_model(tmp_path: Path) -> None:
    sizes = ("--ks", "1", "2", "--rounds", "1", "--lengths", "8", "16", "--contenders", "bank")
    table, result = run(
        "inner_loop.py",
        "--model",
        "random:tiny",
        *sizes,
        "--no-memory",
        "--no-plot",
        "--out",
        str(tmp_path / "out.json"),
    )
    assert result["best_k"] in (1, 2)
    assert result["ratio_vs_reference"] is None
    rows = [line.split("|") for line in table.splitlines() if line.startswith("| bank")]
    assert len(rows) == 2
    assert all(int(row[-3]) > 100 and row[-2].strip() == "—" for row in rows)
    saved = json.loads((tmp_path / "out.json").read_text())
    assert saved["rows"][0]["profile"]["launches"] > 100


@pytest.mark.slow
def test_decoding_speed_with_launches_of_a_random_model(tmp_path: Path) -> None:
    sizes = ("--batches", "2", "--tokens", "3", "--rounds", "1", "--no-vllm", "--no-transformers")
    table, _ = run("decode.py", "--model", "random:tiny", *sizes, "--out", str(tmp_path / "out.json"))
    assert "hf, 1 adapter, batch 2:" in table
    assert "launches a token" in table


def test_a_shape_that_is_unknown_is_named(tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError) as error:
        run("decode.py", "--model", "random:9t", "--out", str(tmp_path / "out.json"))
    assert "random:135m" in error.value.stderr


@pytest.mark.slow
def test_the_one_command_checks_and_measures_everything(tmp_path: Path) -> None:
    printed, result = run("gpu_check.py", "--quick", "--out", str(tmp_path / "out.json"))
    assert result["right"]
    saved = json.loads((tmp_path / "out.json").read_text())
    assert {row["row"]: row.get("failed") for row in saved["rows"]} == dict.fromkeys(
        [
            "135M, q and v",
            "135M, decoding",
            "7B, q and v",
            "7B, all projections",
            "7B, decoding",
            "adapt",
        ]
    )
    assert "FAIL" not in printed
