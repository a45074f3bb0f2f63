"""The command line in this process, and a tiny model on disk for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Call, caller

from seal_agent.base_model.model import BaseModel


@pytest.fixture
def seal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Call:
    """Runs `seal …` in this process, with a store of its own."""
    return caller(monkeypatch, capsys, tmp_path / "home")


@pytest.fixture
def model(tiny_base: BaseModel, save_model: Callable[[BaseModel, Path], Path], tmp_path: Path) -> Path:
    """The folder of a tiny random model."""
    return save_model(tiny_base, tmp_path / "model")
