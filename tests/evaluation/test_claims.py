"""What a row says of itself is compared with its recipe, its suite and its answers; what cannot be is said so."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("lm_eval")
pytest.importorskip("bm25s")

from bench_rows import arc_row, novel_row
from bench_runs import TINY, data_of, knows, request, run, silent
from fakes import ScriptedEngine

from seal_agent.base_model.model import BaseModel
from seal_agent.config import RECIPES
from seal_agent.data.bundled import novel
from seal_agent.errors import InputError, TrainingError
from seal_agent.evaluation import contestant as contestants
from seal_agent.evaluation.asked import arc_prompt_hash
from seal_agent.evaluation.assemble import recipe_facts, run_facts
from seal_agent.evaluation.contestant import Contestant
from seal_agent.evaluation.leaderboard.site import entries_of
from seal_agent.evaluation.leaderboard.standings import Share, standings
from seal_agent.evaluation.passages import choose_passages
from seal_agent.evaluation.ranking import Entry
from seal_agent.evaluation.results import Results, read_results
from seal_agent.evaluation.samples import read_samples, write_samples
from seal_agent.evaluation.submit import check_submission
from seal_agent.generation.hf import HFEngine
from seal_agent.integrations.lm_eval.bench.plan import plan_run
from seal_agent.integrations.lm_eval.bench.run import run_suite
from seal_agent.types import content_hash

Edit = Callable[[dict[str, Any]], object]


def change(path: Path, edit: Edit) -> None:
    value = json.loads(path.read_text())
    edit(value)
    path.write_text(json.dumps(value))


COSTS = {"seconds_to_write": 1.0, "seconds_to_train": 2.0, "seconds_per_passage": 3.0, "adapters_per_hour": 1200.0}


@pytest.fixture
def row(tmp_path: Path) -> Path:
    """A row of the default recipe with plain answers."""
    path = novel_row(tmp_path, "default", [4, 2], figures=COSTS)

    def plain(value: dict[str, Any]) -> None:
        value["recipe"]["settings"]["answer"]["style"] = "plain"
        value["recipe"]["changed"] = {"answer_style": "plain"}

    change(path, plain)
    assert "the settings are those of the recipe default (answer_style=plain)" in check_submission(path).made
    return path


@pytest.mark.parametrize(
    ("edit", "complaint"),
    [
        (lambda v: v["recipe"].update(changed={}), r"answer\.style is 'plain', but the recipe default has 'short'"),
        (lambda v: v["recipe"]["changed"].update(epochs="9"), "the row says that it was set to '9'"),
        (lambda v: v["recipe"]["settings"]["inner_loop"].update(rank=8), r"inner_loop\.rank is 8"),
        (lambda v: v["recipe"].update(name="rest_em"), "the recipe rest_em has a policy, which is missing"),
        (lambda v: v["recipe"].update(name="base"), "the mode is self_edit, but the recipe base has base"),
        (lambda v: v["recipe"].update(mode="base"), "learns nothing, but the row has settings of learning"),
        (lambda v: v["recipe"].update(mode="hello"), "the mode 'hello' does not fit novel_n1"),
        (lambda v: v["figures"].update(seconds_per_passage=0.01), r"seconds_per_passage is 0\.01, but .* gives 3\.0"),
        (lambda v: v["figures"].update(adapters_per_hour=9.0), "adapters_per_hour is 9"),
        (lambda v: v["figures"].update(seconds_to_write=-5.0), "which cannot be"),
        (lambda v: v["figures"].update(seconds_to_write=float("nan")), r"figures\.seconds_to_write"),
        (lambda v: v["figures"].update(prompt_tokens_per_answer=3.0), "the rest of the row gives None"),
        (lambda v: v["figures"].update(accuracy_on_everything=1.0), "which novel_n1 does not measure"),
        (lambda v: v.update(results={"seal_novel": {"passage_acc,none": 0.99}}), "but the answers give 0.5"),
        (lambda v: v.update(results={"seal_arc": {}}), "of the task seal_arc, but novel_n1 has seal_novel"),
        (lambda v: v.update(results={"seal_novel": {"best,none": 1.0}}), "which seal_novel does not measure"),
        (lambda v: v.update(task_hashes={"seal_squad": "x"}), "of the task seal_squad"),
        (lambda v: v.update(n_samples={"seal_novel": 9}), "n_samples"),
        (lambda v: v.update(prompt_hash="x" * 64), "prompt_hash is not that"),
        (lambda v: v["data"].update(name="SQuAD"), "data.name is 'SQuAD', but the passages are those of seal_novel"),
        (lambda v: v["units"][0].update(title="Made up"), "the unit 'Made up' is about"),
        (lambda v: v.update(grader="Lexical"), "there is no grader 'Lexical'"),
        (lambda v: v.update(grader="model: 0123"), "there is no grader 'model: 0123'"),
        (lambda v: v.update(suite="squad_n1"), "the passages are the bundled ones"),
        (lambda v: v.update(seeds=[]), "seeds"),
        (lambda v: v.update(seeds=[7]), r"the seeds are \[7\], but the answers are of \[0\]"),
        (lambda v: v["run"].update(date="yesterday"), "which is no date"),
    ],
)
def test_what_was_changed_in_a_row_is_refused(row: Path, edit: Edit, complaint: str) -> None:
    change(row, edit)
    with pytest.raises(InputError, match=complaint):
        check_submission(row)


@pytest.mark.parametrize("name", ["../x.gz", "sub/a.gz", "", ".", "/tmp/x.gz", "a\\b.gz"])
def test_answers_outside_the_folder_of_the_row_are_refused_when_it_is_read(row: Path, name: str) -> None:
    change(row, lambda value: value["samples"].update(file=name))
    with pytest.raises(InputError, match=r"samples\.file"):
        check_submission(row)
    with pytest.raises(InputError, match=r"samples\.file"):
        entries_of([row])


@pytest.mark.parametrize(
    "changes", [{"golds": ()}, {"golds": ("no grid",)}, {"golds": ("[[1], 2]",)}, {"direct": "yes"}]
)
def test_answers_that_cannot_be_scored_are_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    row = arc_row(tmp_path)
    stored = read_results(row).samples
    assert stored
    answers = row.with_name(stored.file)
    samples = [replace(sample, **changes) for sample in read_samples(answers, stored.sha256)]
    change(row, lambda value: value["samples"].update(sha256=write_samples(samples, answers)))
    with pytest.raises(InputError, match="cannot be scored"):
        check_submission(row)


def test_what_was_not_checked_is_said_so(row: Path) -> None:
    change(row, lambda value: value["recipe"].update(name="mine.toml"))
    change(row, lambda value: value.update(grader="judge: m @ localhost:80"))
    said = check_submission(row).not_made
    assert "the verdicts of the grader 'judge: m @ localhost:80', which is not asked again" in said
    assert "the settings, since mine.toml is no recipe of the package" in said
    assert "model, seconds, hardware and versions, which only the run itself can show" in said


def test_every_recipe_of_the_package_agrees_with_itself(tmp_path: Path) -> None:
    for name, recipe in RECIPES.items():
        if recipe.mode in ("ttt", "random") or recipe.policy:
            continue
        path = novel_row(tmp_path / name, name, [4], mode=recipe.mode)
        assert f"the settings are those of the recipe {name}" in check_submission(path).made


def test_prompts_of_puzzles_have_a_hash_of_their_own(tmp_path: Path) -> None:
    assert arc_prompt_hash() == content_hash("arc"), "that of the rows on file"
    assert arc_prompt_hash("lists") != arc_prompt_hash() == arc_prompt_hash("compact")
    row = arc_row(tmp_path)
    change(row, lambda value: value["recipe"].update(changed={"style": "lists"}))
    with pytest.raises(InputError, match="prompt_hash is not that"):
        check_submission(row)
    change(row, lambda value: value.update(prompt_hash=arc_prompt_hash("lists")))
    assert check_submission(row)


# ---------------------------------------------------------------- retrieval


def searched(folder: Path, base: BaseModel, data: str | None, corpus: int) -> Entry:
    plan = plan_run(request(folder, recipe="retrieval", limit=4, data=data))
    passages = choose_passages(novel(), corpus)
    return Entry(*run_suite(plan, silent, Contestant(base, ScriptedEngine(knows), plan.recipe, corpus=passages)))


def test_shares_of_retrieval_are_taken_within_one_corpus(tmp_path: Path, tiny_base: BaseModel) -> None:
    many = searched(tmp_path / "many", tiny_base, None, 40)
    few = searched(tmp_path / "few", tiny_base, None, 4)
    plan = plan_run(request(tmp_path / "in_context", recipe="in_context", limit=4))
    shown = Entry(*run(plan, tiny_base, ScriptedEngine(knows)))
    worse = tmp_path / "worse.json"
    worse.write_text(many.path.read_text())
    change(worse, lambda value: [unit["scores"].update(contains=0.5) for unit in value["units"]])
    (board,) = standings([Entry(worse, read_results(worse)), few, shown])
    assert {row.results.recipe.label for row in board.rows} == {
        "retrieval (40 passages searched)", "retrieval (4 passages searched)", "in_context",
    }  # fmt: skip
    of_mode = {row.results.recipe.label: row.of_retrieval for row in board.rows}
    assert of_mode["in_context"] == Share(2.0, 4), "of what is found among all passages"
    assert of_mode["retrieval (4 passages searched)"] is None
    assert check_submission(many.path)
    with pytest.raises(InputError, match="the row searched 4 passages that are not those of seal_novel"):
        check_submission(few.path)


# ---------------------------------------------------------------- speed and costs


def test_passages_whose_training_failed_are_no_inner_loops(
    tmp_path: Path, tiny_base: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_each = contestants.train_each

    def failing(base, jobs, progress):  # type: ignore[no-untyped-def]
        results, seconds = train_each(base, jobs, progress)
        return [TrainingError("the loss is NaN"), *results[1:]], seconds

    monkeypatch.setattr(contestants, "train_each", failing)
    plan = plan_run(request(tmp_path, "speed", recipe="paper", changes=TINY, limit=2, size=2))
    path, results = run(plan, tiny_base, HFEngine(tiny_base))
    assert results.failures == [f"round {n}: {plan.contexts[0].title}: the loss is NaN" for n in (1, 2)]
    for unit in results.units:
        assert unit.scores["inner_loops_per_hour"] * unit.scores["seconds_per_passage"] == pytest.approx(3600)
    with pytest.raises(InputError, match="2 of 4 passages"):
        check_submission(path)
    monkeypatch.setattr(contestants, "train_each", lambda base, jobs, _: ([TrainingError("lost")] * len(jobs), None))
    nothing = plan_run(request(tmp_path / "none", "speed", recipe="paper", changes=TINY, limit=2, size=2))
    with pytest.raises(InputError, match=r"nothing was measured: round 1: .*: lost"):
        run(nothing, tiny_base, HFEngine(tiny_base))


def test_rounds_of_speed_have_their_own_seeds(tmp_path: Path, tiny_base: BaseModel) -> None:
    with pytest.raises(InputError, match="give --limit in place of --seeds"):
        plan_run(request(tmp_path, "speed", recipe="paper", seeds=5))
    plan = plan_run(request(tmp_path, "speed", recipe="paper", changes=TINY, limit=2, size=1))
    path, results = run(plan, tiny_base, HFEngine(tiny_base))
    assert results.seeds == [0, 1]
    assert path.name == "speed-default-paper-answer_style-plain-epochs-1-format-passage-max_tokens-8-rank-2-2.json"
    assert check_submission(path)
    change(path, lambda value: value["data"].update(hash="0" * 64))
    with pytest.raises(InputError, match="are not the first 1 ones of the suite"):
        check_submission(path)


def together(folder: Path, base: BaseModel) -> tuple[Path, Results, str]:
    folder.mkdir(parents=True)
    data = data_of(folder, novel()[:4])
    plan = plan_run(request(folder, "squad_cpt", recipe="paper", changes=TINY, data=data, size=4))
    contestant = Contestant(base, HFEngine(base), plan.recipe, corpus=plan.contexts, together=True)
    return *run_suite(plan, silent, contestant), data


def test_an_adapter_that_learns_several_passages_is_one(tmp_path: Path, tiny_base: BaseModel) -> None:
    path, results, data = together(tmp_path / "cpt", tiny_base)
    figures = results.figures
    assert figures["adapters_per_hour"] == pytest.approx(3600 / (4 * figures["seconds_per_passage"]), rel=1e-3)
    assert check_submission(path, data)


def test_a_command_is_written_as_a_shell_reads_it() -> None:
    own = {
        "date": "2026-01-01", "processor": "", "cores": 1, "gpu": [], "system": "", "python": "", "packages": {},
        "commit": "", "device": "cpu",
    }  # fmt: skip
    facts = run_facts(own, [], None, ["seal", "bench", "novel_n1", "--out", "my rows"])
    assert facts.command == "seal bench novel_n1 --out 'my rows'"


@pytest.mark.parametrize(
    ("suite", "recipe", "changes"),
    [
        ("novel_n1", "base", {"epochs": "3"}),
        ("novel_n1", "in_context", {"temperature": "0.5"}),
        ("novel_n1", "retrieval", {"answer_style": "short"}),
        ("novel_n1", "base", {"policy": "runs/first"}),
        ("novel_n1", "default", {"gpu_memory": "0.5"}),
        ("arc_toy", "ttt", {"format": "rewrite"}),
        ("arc_toy", "default", {"answer_style": "plain"}),
    ],
)
def test_a_setting_that_changes_nothing_is_refused(
    tmp_path: Path, suite: str, recipe: str, changes: dict[str, object]
) -> None:
    with pytest.raises(InputError, match=f"--set {next(iter(changes))} is how .* leave it out"):
        plan_run(request(tmp_path, suite, recipe=recipe, changes=changes))


def test_the_hash_of_a_policy_is_that_of_the_row(tmp_path: Path) -> None:
    facts = recipe_facts("default", RECIPES["default"], {})
    row = novel_row(tmp_path, "rest_em", [4])
    settings = {**json.loads(json.dumps(facts.settings)), "policy": "abcdef0123456789", "searched": False}
    change(row, lambda value: value["recipe"].update(settings=settings, changed={"policy": "abcdef01"}))
    assert "the settings, since they are those of the run whose policy is abcdef01" in check_submission(row).not_made
    change(row, lambda value: value["recipe"].update(changed={}))
    with pytest.raises(InputError, match="but the recipe rest_em has"):
        check_submission(row)
