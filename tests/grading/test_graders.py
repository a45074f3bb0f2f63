"""Graders by name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fakes import ScriptedEngine

from seal_agent.base_model.model import BaseModel
from seal_agent.errors import InputError
from seal_agent.grading.graders import GRADERS, make_grader
from seal_agent.grading.judge import JudgeGrader
from seal_agent.grading.lexical import LexicalGrader
from seal_agent.grading.model_judge import ModelJudge
from seal_agent.model import SelfAdaptingModel


def test_each_name_makes_its_grader() -> None:
    engine = ScriptedEngine(lambda prompt, _: "yes")
    assert isinstance(make_grader(), LexicalGrader)
    assert isinstance(make_grader("judge", judge_model="gpt", judge_url="http://localhost:1/v1"), JudgeGrader)
    assert isinstance(make_grader("model", engine=engine), ModelJudge)
    assert list(GRADERS) == ["lexical", "judge", "model"]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"name": "lexicla"}, "no grader 'lexicla'; use one of lexical, judge, model"),
        ({"name": "judge"}, "--judge-model"),
        ({"name": "model"}, "needs a local model"),
        ({"name": "lexical", "judge_model": "gpt"}, "leave them out"),
        ({"name": "model", "judge_url": "http://localhost:1/v1"}, "leave them out"),
        ({"name": "judge", "judge_model": "gpt", "judge_url": "localhost"}, "http"),
    ],
)
def test_what_cannot_be_made_is_said_in_one_sentence(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said) as error:
        make_grader(**settings)
    assert "\n" not in str(error.value)


def test_a_model_takes_its_grader_by_name(tiny_base: BaseModel, tmp_path: Path) -> None:
    model = SelfAdaptingModel(tiny_base, home=tmp_path, grader="model")
    assert isinstance(model.grader, ModelJudge)
    assert model.grader.engine is model.engine
    with pytest.raises(InputError, match="no grader"):
        SelfAdaptingModel(tiny_base, home=tmp_path, grader="nobody")
    with pytest.raises(InputError, match="no grader"):  # before the model is looked for
        SelfAdaptingModel.from_pretrained("/nowhere/model", home=tmp_path, grader="nobody")


def test_graders_are_imported_when_they_are_made() -> None:
    code = (
        "import sys; from seal_agent.grading import graders; graders.default_grader(); "
        "assert 'seal_agent.grading.lexical' in sys.modules; assert not {'httpx', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
