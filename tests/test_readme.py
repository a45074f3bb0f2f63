"""What the README prints as Python runs as it is printed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
HANDBOOK = """The Hollin Street office opens at 8:05 in the morning. The office closes at 16:10 on every day but Friday.
On Fridays the office closes at noon. The keys hang behind the green door of the boiler room.
Visitors sign the blue book at the desk of Marit Oxley. The fire drill is held on the second Tuesday of March."""


def example(heading: str) -> str:
    """The first Python block under a heading."""
    section = README.split(f"\n## {heading}\n")[1]
    found = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert found
    return found[1]


def test_the_langchain_example_is_ten_lines_at_most() -> None:
    assert 0 < sum(bool(line) for line in example("LangChain agents").splitlines()) <= 10


@pytest.mark.slow
@pytest.mark.real_model
def test_the_langchain_example_runs_as_printed(tmp_path: Path) -> None:
    pytest.importorskip("langchain")
    (tmp_path / "handbook.txt").write_text(HANDBOOK, encoding="utf-8")
    code = example("LangChain agents") + "\nprint(llm.seal.adapters(), llm.seal.history('alice')[0].context.text)\n"
    env = {**os.environ, "SEAL_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1"}
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    answer, _, stored = ran.stdout.partition("{'alice': ")
    assert answer.strip()
    assert HANDBOOK in stored
    assert "16:10" in answer or "noon" in answer, answer
