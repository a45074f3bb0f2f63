"""Killed at any write, fsync, rename or statement, a store opens, answers as before, and the call can be repeated."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
STEPS = {"adapt": 15, "rollback": 3, "revoke": 6, "forget": 25, "import": 12, "delete": 10}
"""The least number of steps of each operation; together more than 40."""


@pytest.mark.alone
@pytest.mark.parametrize(
    "operation",
    [
        "adapt",
        "rollback",
        "revoke",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("delete", "forget", "import")),
    ],
)
def test_a_kill_at_any_step_loses_and_mixes_nothing(operation: str, tmp_path: Path) -> None:
    paths = [str(TESTS.parent), str(TESTS), str(TESTS / "support"), os.environ.get("PYTHONPATH", "")]
    ran = subprocess.run(
        [sys.executable, str(TESTS / "support" / "killed_store.py"), str(tmp_path), operation],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "SEAL_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    told = json.loads(ran.stdout.splitlines()[-1])
    assert told["wrong"] == []
    assert told["steps"] >= STEPS[operation]
