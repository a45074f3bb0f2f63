"""A revision says which recipe made it."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import pytest
from fakes import ScriptedEngine

from seal_agent.adaptation.provenance import NamedRecipe, recipe_key
from seal_agent.base_model.model import BaseModel
from seal_agent.config import LATER, RECIPES, SelfEditConfig, recipe_named
from seal_agent.errors import InputError
from seal_agent.model import SelfAdaptingModel
from seal_agent.types import content_hash, describe_revision

RECIPE = """summary = "light"
[self_edit]
formats = ["rewrite"]
verify = "off"
self_test = 0
[inner_loop]
rank = 2
alpha = 4.0
epochs = 1
null_space = 0.0
shrink = 0.0
openings = 0
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run of `seal tune`, as far as a recipe goes."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recipe.toml").write_text(RECIPE, encoding="utf-8")
    return tmp_path / "run"


def test_a_model_with_a_recipe_learns_by_it_and_its_revisions_say_so(
    tiny_base: BaseModel, folder: Path, tmp_path: Path
) -> None:
    engine = ScriptedEngine(lambda prompt, adapter: "Abbo lost eleven keys.")
    model = SelfAdaptingModel(tiny_base, home=tmp_path / "home", engine=engine, recipe=folder)
    revision = model.adapt("Keeper Abbo lost eleven keys near the pier.", gate=None)
    assert revision.recipe == model.recipe.label
    assert revision.recipe.startswith(f"{folder}@")
    assert [edit.format for edit in revision.self_edits] == ["rewrite"]
    assert f"recipe    {folder}@" in describe_revision(revision)
    changed = model.adapt(
        "Keeper Brusk lost twelve keys near the mill.",
        gate=None,
        adapter="other",
        inner_loop=replace(model.recipe.recipe.inner_loop, epochs=2),
        self_edit=SelfEditConfig(formats=("rewrite",), verify="off", temperature=0.7),
    )
    assert changed.recipe == f"{model.recipe.label}, changed: temperature, self_test, epochs"
    reopened = SelfAdaptingModel(tiny_base, home=tmp_path / "home", engine=engine)
    assert reopened.history("other")[0].recipe == changed.recipe
    assert reopened.recipe.name == "default"


def test_the_name_alone_does_not_tell_two_versions_of_a_file_apart(folder: Path) -> None:
    before = NamedRecipe.read(folder).label
    (folder / "recipe.toml").write_text(RECIPE.replace("epochs = 1", "epochs = 2"), encoding="utf-8")
    assert NamedRecipe.read(folder).label != before


def test_the_seed_is_no_part_of_a_recipe() -> None:
    named = NamedRecipe("default", RECIPES["default"])
    config = replace(RECIPES["default"].inner_loop, seed=7)
    assert named.of_lesson(named.of_notes(SelfEditConfig()), config) == named.label
    assert named.of_lesson("", config) == "", "notes of before there was a recipe"


def test_a_recipe_that_learns_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="learns nothing"):
        NamedRecipe.read("in_context")


def test_a_key_stays_when_a_setting_is_added_that_is_off() -> None:
    recipe = recipe_named("default")
    parts = [asdict(part) for part in (recipe.self_edit, recipe.inner_loop, recipe.answer)]
    before = [{name: value for name, value in part.items() if name not in LATER} for part in parts]
    assert recipe_key(recipe) == content_hash(before)[: len(recipe_key(recipe))]
    changed = replace(recipe, inner_loop=replace(recipe.inner_loop, full_answers=2))
    assert recipe_key(changed) != recipe_key(recipe)
