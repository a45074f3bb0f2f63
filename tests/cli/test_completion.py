"""Completion in the shell: installed by one command, offers commands, options and the store's adapters."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import random_adapter
from stored_adapters import store

from seal_agent.base_model.model import BaseModel
from seal_agent.cli.completion import adapter_names
from seal_agent.model import SelfAdaptingModel

SEAL = "import sys; sys.argv[0] = 'seal'; from seal_agent.cli.app import main; main()"
BASH = shutil.which("bash")
pytestmark = pytest.mark.skipif(BASH is None, reason="there is no bash")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A home of its own, in which `seal` is a script."""
    script = tmp_path / "bin" / "seal"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{SEAL}" "$@"\n')
    script.chmod(0o755)
    root = str(Path(__file__).parents[2])
    return {**os.environ, "HOME": str(tmp_path), "PATH": f"{script.parent}:{os.environ['PATH']}", "PYTHONPATH": root}


def run(line: str, environment: dict[str, str]) -> str:
    assert BASH
    ran = subprocess.run([BASH, "-c", line], env=environment, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_one_command_installs_it_and_the_shell_then_completes(tmp_path: Path, environment: dict[str, str]) -> None:
    run("seal --install-completion; true", environment)  # `; true` keeps the shell alive, whose kind is looked up
    assert "seal.sh" in (tmp_path / ".bashrc").read_text()
    typed = "COMP_WORDS=(seal ad); COMP_CWORD=1; _seal_completion seal; printf '%s\\n' \"${COMPREPLY[@]}\""
    offered = run(f'source "$HOME/.bash_completions/seal.sh"; {typed}', environment)
    assert offered.split() == ["adapt", "adapters"]


def test_adapters_of_the_store_are_offered(tiny_base: BaseModel, tmp_path: Path) -> None:
    context: Any = SimpleNamespace(params={"home": tmp_path / "store"})
    assert adapter_names(context, "") == []
    assert not (tmp_path / "store").exists()
    seal = SelfAdaptingModel(tiny_base, home=tmp_path / "store")
    for name in ("work", "alice"):
        store(seal, name, random_adapter(tiny_base, 1))
    assert adapter_names(context, "") == ["alice", "work"]
    assert adapter_names(context, "w") == ["work"]
