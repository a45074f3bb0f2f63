"""What the gate compares with: shipped for the bundled model."""

from __future__ import annotations

from pathlib import Path

import pytest

from seal_agent.adaptation.gate import reference
from seal_agent.adaptation.gate.reference import reference_of
from seal_agent.base_model.loading import load_model
from seal_agent.config import GateConfig
from seal_agent.data import bundled
from seal_agent.generation.hf import HFEngine
from seal_agent.grading.graders import default_grader


@pytest.mark.real_model
def test_the_bundled_model_needs_to_write_nothing_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Fails where the guard questions or how they are asked have changed: then ship the cache folder's new file."""
    monkeypatch.setattr(reference, "_make", None)
    monkeypatch.setattr(reference, "cache_home", lambda: tmp_path)
    base, texts = load_model(), GateConfig().reference_texts
    found = reference_of(HFEngine(base), base, default_grader(), texts)
    assert [answer.question for answer in found.guard] == list(bundled.guard_questions())
    assert 0 < len(found.texts) <= texts
