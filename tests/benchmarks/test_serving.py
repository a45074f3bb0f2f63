"""The load of benchmarks/serving.py: clients that notice a wrong adapter, and errors that are counted."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from served import FACTS, PLAIN, QUESTION, serving, teach_facts

from seal_agent.base_model.model import BaseModel
from seal_agent.model import SelfAdaptingModel

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))  # its scripts import `parts` so

from parts import serving_load
from parts.serving_load import Load, measure


@pytest.fixture
def seal(tiny_base: BaseModel, tmp_path: Path) -> SelfAdaptingModel:
    model = SelfAdaptingModel(tiny_base, home=tmp_path)
    teach_facts(model)
    return model


def test_each_client_is_answered_by_its_own_adapter(seal: SelfAdaptingModel) -> None:
    assert serving_load.QUESTION == QUESTION
    with serving(seal) as served:
        measured = measure(served.address, Load("seal", 8), FACTS, seconds=1.0, tokens=6, extra=PLAIN)
        swapped = dict(zip(FACTS, [*list(FACTS.values())[1:], "Imre 17"], strict=True))
        mistaken = measure(served.address, Load("seal", 4), swapped, seconds=0.2, tokens=2, extra=PLAIN)
    assert (measured.wrong, measured.errors) == (0, ())
    assert measured.answers >= 16
    assert measured.facts >= 8
    assert measured.tokens_per_second > 0
    assert 0 < measured.between <= measured.between_95
    assert mistaken.wrong == mistaken.facts > 0


def test_errors_are_counted(seal: SelfAdaptingModel) -> None:
    with serving(seal) as served:
        measured = measure(served.address, Load("seal", 2), {"nobody": "Imre"}, seconds=1.0, tokens=2, extra={})
    assert measured.answers == 0
    assert len(measured.errors) >= 2
    assert "404" in measured.errors[0]
