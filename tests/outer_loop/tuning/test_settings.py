"""What tuning may change: within ranges, to recipes that can be used, and under a schema."""

from __future__ import annotations

import json
import random

import pytest
from jsonschema import Draft202012Validator
from tuning_fakes import DEFAULT

from seal_agent.adaptation.provenance import recipe_key
from seal_agent.base_model.model import BaseModel
from seal_agent.config import RECIPES
from seal_agent.errors import InputError
from seal_agent.generation.hf import HFEngine
from seal_agent.outer_loop.tuning.settings import (
    BY_NAME,
    SETTINGS,
    Change,
    Number,
    change_schema,
    changed,
    differences,
    value_of,
)
from seal_agent.types import Grammar, Message, Sampling

VALIDATOR = Draft202012Validator(change_schema())


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_a_step_leads_to_another_value_within_the_range(setting):
    for recipe in (RECIPES["default"], RECIPES["paper"], RECIPES["passage"]):
        old = value_of(recipe, setting.name)
        for seed in range(40):
            new = setting.stepped(old, random.Random(seed))
            assert new != old
            if isinstance(setting, Number):
                assert setting.low <= new <= setting.high
                assert isinstance(new, int) == setting.whole
            else:
                assert new in setting.values


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_value_of_a_setting_can_be_put_into_a_recipe_and_read_back(setting):
    draw, protected = (
        random.Random(0),
        Change("inner_loop.null_space", 0.0, 0.6),
    )  # without which a high alpha is refused
    for _ in range(20):
        new = setting.drawn(draw)
        recipe = changed(DEFAULT, [protected, Change(setting.name, value_of(DEFAULT, setting.name), new)])
        assert value_of(recipe, setting.name) == new


def test_settings_that_do_not_go_together_are_refused():
    with pytest.raises(InputError, match="ruins a model"):
        changed(RECIPES["default"], [Change("inner_loop.null_space", 0.6, 0.0)])


def test_differences_lead_from_one_recipe_to_the_other():
    default, paper = RECIPES["default"], RECIPES["paper"]
    path = differences(default, paper)
    assert changed(default, path).inner_loop.epochs == paper.inner_loop.epochs
    assert {"self_edit.formats", "inner_loop.targets", "inner_loop.alpha"} <= {change.setting for change in path}
    assert recipe_key(changed(default, path)) != recipe_key(default)
    assert not differences(default, default)


def test_grader_questions_and_answers_are_out_of_reach():
    assert {name.partition(".")[0] for name in BY_NAME} == {"self_edit", "inner_loop"}
    for value in ({"setting": "answer.style", "value": "plain"}, {"setting": "inner_loop.epochs", "value": 400}):
        assert not VALIDATOR.is_valid({"changes": [value]})
    assert not VALIDATOR.is_valid({"changes": []})
    assert VALIDATOR.is_valid({"changes": [{"setting": "inner_loop.epochs", "value": 4}]})


def test_a_model_that_knows_nothing_proposes_only_what_the_schema_allows(tiny_base: BaseModel):
    sampling = Sampling(400, 1.0, grammar=Grammar("json_schema", json.dumps(change_schema())))
    prompts = [(Message("user", f"Propose {i}."),) for i in range(4)]
    texts = [completion.text for completion in HFEngine(tiny_base).generate(prompts, sampling)]
    for text in texts:
        VALIDATOR.validate(json.loads(text))
    assert len(set(texts)) > 1
