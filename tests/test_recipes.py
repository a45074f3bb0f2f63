"""Recipes are files: checked when they are read, and the same for every command."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from seal_agent import recipes
from seal_agent.config import (
    ARC_INNER_LOOPS,
    PLAIN_ANSWERS,
    PLAIN_LORA,
    RECIPES,
    AnswerConfig,
    InnerLoopConfig,
    OuterLoopConfig,
    SelfEditConfig,
    recipe_named,
)
from seal_agent.errors import InputError
from seal_agent.integrations.lm_eval.arguments import read_arguments
from seal_agent.outer_loop.policy import writer_of
from seal_agent.self_edits.formats.registry import check_format


def test_the_default_recipe_is_the_defaults_of_the_configs():
    recipe = recipe_named("default")
    assert (recipe.self_edit, recipe.inner_loop, recipe.answer) == (SelfEditConfig(), InnerLoopConfig(), AnswerConfig())
    assert recipe.mode == "self_edit"


def test_the_paper_recipe_is_seals_protocol():
    recipe = recipe_named("paper")
    assert recipe.self_edit == SelfEditConfig(formats=("implications",), temperature=1.0, verify="off")
    assert recipe.inner_loop == replace(
        PLAIN_LORA, targets=("default",), epochs=10, learning_rate=1e-3, batch_size=1, continued=1.0
    )
    assert recipe.answer == PLAIN_ANSWERS
    assert ARC_INNER_LOOPS["paper"] == recipe.arc_inner_loop
    assert (recipe.arc_inner_loop.rank, recipe.arc_inner_loop.alpha) == (128, 16.0)


@pytest.mark.parametrize("name", list(RECIPES))
def test_every_recipe_of_the_package_can_be_used(name):
    recipe = RECIPES[name]
    for format_name in recipe.self_edit.formats:
        check_format(format_name)
    assert recipe.summary
    assert recipe.searched == (name == "default"), "only the default was chosen on the passages of the search"


def test_a_recipe_of_ones_own_extends_one_of_the_package(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('extends = "paper"\n[inner_loop]\nepochs = 2\n')
    mine = recipe_named(str(file))
    assert mine.inner_loop == replace(RECIPES["paper"].inner_loop, epochs=2)
    assert mine.self_edit == RECIPES["paper"].self_edit
    assert read_arguments({"recipe": str(file), "rank": 4}).inner_loop == replace(mine.inner_loop, rank=4)


def test_a_recipe_may_extend_a_file_beside_it(tmp_path):
    (tmp_path / "below.toml").write_text("[inner_loop]\nrank = 7\n")
    (tmp_path / "above.toml").write_text('extends = "below.toml"\n[inner_loop]\nepochs = 2\n')
    assert recipe_named(str(tmp_path / "above.toml")).inner_loop == replace(InnerLoopConfig(), rank=7, epochs=2)


def test_paths_in_a_file_are_read_from_its_own_folder(tmp_path, monkeypatch):
    """Not from the current folder, nor from that of the file that was named first."""
    inner = tmp_path / "tuned" / "parts"
    inner.mkdir(parents=True)
    (tmp_path / "tuned" / "recipe.toml").write_text('extends = "parts/upper.toml"\n')
    (inner / "upper.toml").write_text('extends = "below.toml"\n[inner_loop]\nepochs = 2\n')
    (inner / "below.toml").write_text("[inner_loop]\nrank = 7\n")
    for other in (tmp_path, tmp_path / "tuned"):
        (other / "below.toml").write_text("[inner_loop]\nrank = 9\n")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "upper.toml").write_text("[inner_loop]\nrank = 5\n")
    wanted = replace(InnerLoopConfig(), rank=7, epochs=2)
    for named in ("tuned", "tuned/recipe.toml", str(tmp_path / "tuned")):
        assert recipe_named(named).inner_loop == wanted
    (inner / "upper.toml").write_text('extends = "tuned/parts/below.toml"\n')
    with pytest.raises(InputError, match=r"there is no recipe 'tuned/parts/below\.toml'"):
        recipe_named("tuned")


@pytest.mark.parametrize(
    ("text", "searched"),
    [
        ("[inner_loop]\nepochs = 5\n", True),
        ("searched = false\n", False),
        ('mode = "in_context"\n', False),
        ('extends = "paper"\n', False),
        ('extends = "default"\n', True),
    ],
)
def test_a_file_that_extends_nothing_was_chosen_as_the_default_was(tmp_path, text, searched):
    (tmp_path / "mine.toml").write_text(text)
    (tmp_path / "above.toml").write_text('extends = "mine.toml"\n')
    (tmp_path / "shown.toml").write_text('extends = "mine.toml"\nmode = "base"\n')
    assert [recipe_named(str(tmp_path / name)).searched for name in ("mine.toml", "above.toml")] == [searched] * 2
    assert recipe_named(str(tmp_path / "shown.toml")).searched == (text == 'extends = "default"\n')


def test_a_file_of_the_package_by_its_path_is_marked_as_by_its_name():
    assert recipe_named(str(Path(recipes.__file__).parent / "paper.toml")).searched is False


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[inner_loop]\nepoch = 2\n", "no setting 'epoch'"),
        ("[inner_loop]\nepochs = 0\n", "epochs must be at least 1"),
        ("[loop]\nepochs = 1\n", "no setting 'loop'"),
        ('mode = "magic"\n', "mode is one of"),
        ("[inner_loop\n", "not TOML"),
        ('extends = "nowhere"\n', "there is no recipe 'nowhere'"),
        ("[inner_loop]\nalpha = 512.0\nnull_space = 0.0\n", "alpha 512 ruins a model"),
    ],
)
def test_an_unusable_recipe_is_refused_in_one_sentence(tmp_path, text, complaint):
    file = tmp_path / "bad.toml"
    file.write_text(text)
    with pytest.raises(InputError, match=complaint):
        recipe_named(str(file))


def test_recipes_that_extend_one_another_are_refused(tmp_path):
    (tmp_path / "a.toml").write_text('extends = "b.toml"\n')
    (tmp_path / "b.toml").write_text('extends = "a.toml"\n')
    with pytest.raises(InputError, match="extends itself"):
        recipe_named(str(tmp_path / "a.toml"))


def test_an_unknown_recipe_names_similar_ones():
    with pytest.raises(InputError, match=r"did you mean .*default"):
        recipe_named("defautl")


@pytest.mark.parametrize(("recipe", "mode"), [("base", "base"), ("in_context", "in_context"), ("default", "self_edit")])
def test_lm_eval_takes_the_mode_of_the_recipe(recipe, mode):
    assert read_arguments({"recipe": recipe}).mode == mode
    assert read_arguments({"recipe": recipe, "mode": "base"}).mode == "base"


# ---------------------------------------------------------------- a run of `seal train` as a recipe


def run_folder(folder, formats=("rewrite",), domain="knowledge"):
    """What `seal train` leaves, as far as a recipe reads it."""
    (folder / "policy" / "abc").mkdir(parents=True)
    (folder / "policy" / "last").write_text("abc\n")
    (folder / "policy" / "abc" / "seal_policy.json").write_text(json.dumps({"formats": list(formats), "base": "b"}))
    config = OuterLoopConfig(self_edit=SelfEditConfig(formats=formats), inner_loop=replace(PLAIN_LORA, epochs=7))
    manifest = {"config": {"outer_loop": asdict(config), "domain": {"domain": domain}}}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def test_a_run_is_a_recipe_with_its_policy_and_the_settings_it_was_rewarded_under(tmp_path):
    run = run_folder(tmp_path / "runs" / "first")
    for folder in (run, run / "policy" / "abc"):
        recipe = recipe_named(str(folder))
        assert recipe.policy == str(folder)
        assert recipe.self_edit == SelfEditConfig(formats=("rewrite",))
        assert recipe.inner_loop == replace(PLAIN_LORA, epochs=7)
        assert recipe.answer == PLAIN_ANSWERS


def test_a_file_may_name_a_policy_beside_it(tmp_path):
    run_folder(tmp_path / "first")
    (tmp_path / "mine.toml").write_text('extends = "rest_em"\npolicy = "first"\n[inner_loop]\nepochs = 2\n')
    (tmp_path / "above.toml").write_text('extends = "first"\n[inner_loop]\nepochs = 3\n')
    assert recipe_named(str(tmp_path / "mine.toml")).policy == str(tmp_path / "first")
    above = recipe_named(str(tmp_path / "above.toml"))
    assert (above.policy, above.inner_loop.epochs) == (str(tmp_path / "first"), 3)


def test_a_run_about_puzzles_gives_the_settings_of_puzzles(tmp_path):
    recipe = recipe_named(str(run_folder(tmp_path / "arc", domain="arc")))
    assert recipe.arc_inner_loop == replace(PLAIN_LORA, epochs=7)
    assert recipe.inner_loop == RECIPES["paper"].inner_loop


def test_a_policy_without_a_run_gives_its_formats(tmp_path):
    (tmp_path / "seal_policy.json").write_text('{"formats": ["self-qa"], "base": "b"}')
    assert recipe_named(str(tmp_path)).self_edit.formats == ("self-qa",)


def test_a_folder_that_is_no_run_and_a_damaged_one_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"the folder .* has no recipe.toml and no policy"):
        recipe_named(str(tmp_path))
    run = run_folder(tmp_path / "first")
    (run / "manifest.json").write_text("{}")
    with pytest.raises(InputError, match=r"the run in .* cannot be read"):
        recipe_named(str(run))


def test_lm_eval_takes_the_policy_of_the_recipe_or_another(tmp_path):
    run = run_folder(tmp_path / "first")
    assert read_arguments({"recipe": str(run)}).policy == str(run)
    assert read_arguments({"recipe": str(run), "policy": "other"}).policy == "other"
    assert read_arguments({}).policy == ""


def test_the_rest_em_recipe_says_where_its_policy_belongs(tiny_base, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="seal train --run runs/rest_em"):
        writer_of(tiny_base, recipe_named("rest_em").policy)
    assert writer_of(tiny_base, "") is None
