"""A store with a model, and one without."""

from __future__ import annotations

from pathlib import Path

import pytest
from killed_store import opened

from seal_agent.base_model.model import BaseModel
from seal_agent.model import SelfAdaptingModel
from seal_agent.store.ledger import Ledger


@pytest.fixture
def model(tiny_base: BaseModel, tmp_path: Path) -> SelfAdaptingModel:
    return opened(tiny_base, tmp_path / "home")


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger")
