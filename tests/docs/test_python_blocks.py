"""Every Python block of the pages runs as it is printed: on a tiny model, the main ones on the bundled model too."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from conftest import random_adapter
from doc_blocks import Block, all_blocks
from served import PASSAGE, QUICK, serving
from stored_adapters import store

import seal_agent.base_model.loading
import seal_agent.model
from seal_agent.base_model.model import BaseModel
from seal_agent.model import SelfAdaptingModel

HANDBOOK = """The Hollin Street office opens at 8:05 in the morning. The office closes at 16:10 on every day but Friday.
On Fridays the office closes at noon. The keys hang behind the green door of the boiler room.
Visitors sign the blue book at the desk of Marit Oxley. The fire drill is held on the second Tuesday of March."""
SERVER = "http://127.0.0.1:8000"
RUN = [block for block in all_blocks("python") if block.why_not is None]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the pages speak of, and a store of its own."""
    (tmp_path / "handbook.txt").write_text(HANDBOOK, encoding="utf-8")
    (tmp_path / "notes").mkdir()
    for name in ("hours", "keys"):
        (tmp_path / "notes" / f"{name}.txt").write_text(f"The {name} of Hollin Street are green.")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEAL_HOME", str(tmp_path / "home"))
    return tmp_path


@pytest.fixture
def tiny(tiny_base: BaseModel, monkeypatch: pytest.MonkeyPatch) -> BaseModel:
    """Every model that is loaded is the tiny one, learns quickly, and keeps what no gate would let pass."""
    for module in (seal_agent.base_model.loading, seal_agent.model):
        monkeypatch.setattr(module, "load_model", lambda *_, **__: tiny_base)
    commit = SelfAdaptingModel._commit_each
    monkeypatch.setattr(SelfAdaptingModel, "_inner_loop", QUICK)
    monkeypatch.setattr(SelfAdaptingModel, "_self_edit", lambda self, config: config or PASSAGE)
    monkeypatch.setattr(
        SelfAdaptingModel, "_commit_each", lambda self, p, i, gate, *rest: commit(self, p, i, None, *rest)
    )
    return tiny_base


@pytest.mark.parametrize("block", RUN, ids=str)
def test_a_block_runs(
    block: Block, tiny: BaseModel, here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if "langchain" in block.text:
        pytest.importorskip("langchain")
        from seal_agent.integrations.langchain.chat import backends

        for name in ("_base_models", "_engines", "_models"):
            monkeypatch.setattr(backends, name, {})
    seal = SelfAdaptingModel(tiny, home=here / "home")
    served: Any = nullcontext()
    if SERVER in block.text:
        for name in ("alice", "work"):
            store(seal, name, random_adapter(tiny, 1))
        served = serving(seal)
    with served as address:
        exec(compile(block.text.replace(SERVER, getattr(address, "address", "")), str(block), "exec"), {})
    if "print(" in block.text:
        assert capsys.readouterr().out.strip()
    if ".adapt(" in block.text or "documents" in block.text:
        assert seal.ledger.adapters(), "the block taught nothing"


@pytest.mark.parametrize("section", ["Python", "LangChain", "Trajectories", "Server"])
def test_an_example_of_the_readme_is_ten_lines_at_most(section: str) -> None:
    texts = {
        "Python": "model.rollback(",
        "LangChain": "AdaptationMiddleware",
        "Trajectories": "TrajectoryMiddleware",
        "Server": "OpenAI(",
    }
    (block,) = [block for block in RUN if block.page.name == "README.md" and texts[section] in block.text]
    assert 0 < sum(bool(line) for line in block.text.splitlines()) <= 10


@pytest.mark.slow
@pytest.mark.real_model
def test_the_langchain_example_runs_on_the_bundled_model(here: Path) -> None:
    pytest.importorskip("langchain")
    (block,) = [block for block in RUN if block.page.name == "README.md" and "AdaptationMiddleware" in block.text]
    code = block.text + "\nprint(llm.seal.adapters(), llm.seal.history('alice')[0].context.text)\n"
    answer, _, stored = _run(code, here).partition("{'alice': ")
    assert answer.strip()
    assert HANDBOOK in stored
    assert "16:10" in answer or "noon" in answer, answer


@pytest.mark.slow
@pytest.mark.real_model
def test_the_python_example_runs_on_the_bundled_model(here: Path) -> None:
    (block,) = [block for block in RUN if block.page.name == "README.md" and "model.rollback(" in block.text]
    printed = _run(block.text, here)
    assert "16:10" in printed or "noon" in printed, printed


def _run(code: str, here: Path) -> str:
    env = {**os.environ, "SEAL_HOME": str(here / "home"), "HF_HUB_OFFLINE": "1"}
    ran = subprocess.run([sys.executable, "-c", code], cwd=here, env=env, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout
