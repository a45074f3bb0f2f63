"""`seal train`, as it is typed, on a tiny model: the whole loop, its plan, its status, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import outer_loop_fakes
import pytest
from command_line import Call, Ran
from judge_server import Server, reply

from seal_agent.base_model.loading import load_model
from seal_agent.base_model.model import BaseModel
from seal_agent.cli import console
from seal_agent.cli.train.command import EditOptions, SearchOptions
from seal_agent.config import RECIPES, OuterLoopConfig, SelfEditConfig
from seal_agent.errors import AdapterError, InputError
from seal_agent.grading.model_judge import ModelJudge
from seal_agent.model import SelfAdaptingModel
from seal_agent.outer_loop import collapse, stages
from seal_agent.outer_loop.archive.status import read_status
from seal_agent.outer_loop.domains.knowledge import KnowledgeDomain
from seal_agent.outer_loop.domains.passages import passages_for
from seal_agent.outer_loop.executors.workers import MakeWorker
from seal_agent.outer_loop.learn import resumed_base, settings
from seal_agent.outer_loop.plan import plan
from seal_agent.outer_loop.policy import load_policy, save_policy
from seal_agent.outer_loop.rewards.reward import QuestionReward
from seal_agent.self_edits.formats.registry import DERIVED_FORMATS
from seal_agent.types import Context, Question


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Four passages about keepers of keys."""
    rows = [
        {
            "title": c.title,
            "context": c.text,
            "questions": [{"question": q.text, "answer": list(q.golds)} for q in c.questions],
        }
        for c in outer_loop_fakes.domain().contexts
    ]
    path = tmp_path / "data.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


@pytest.fixture
def train(seal: Call, data: Path, model: Path, tmp_path: Path) -> Call:
    """A run of two rounds of three contexts, two self-edits each, two seeds."""

    def call(*more: object) -> Ran:
        sizes = ("--rounds", 2, "--contexts", 3, "--edits", 2, "--seeds", 2, "--epochs", 1)
        return seal(
            "train",
            "--data",
            data,
            "--run",
            tmp_path / "run",
            "--model",
            model,
            *sizes,
            "--format",
            "rewrite",
            "--seed",
            1,
            *more,
        )

    return call


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every worker has an engine that answers by its adapter's weights, so that some self-edits win."""

    def made(maker: MakeWorker) -> Any:
        return outer_loop_fakes.worker(load_model(maker.model, device="cpu", dtype="float32"))

    monkeypatch.setattr(MakeWorker, "__call__", made)


# ---------------------------------------------------------------- runs


def test_the_whole_loop_runs_on_a_tiny_model_and_its_own_words(train: Call, tmp_path: Path) -> None:
    ran = train("--contexts", 2, "--seeds", 1, "--keep-adapters", "--guard", 1, "--measure-last", "--json")
    assert ran.code == 0, ran.err
    assert [one["self_edits"] for one in ran.json["rounds"]] == [4, 4, 4]
    assert list((tmp_path / "run" / "adapters").iterdir())
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["config"]["outer_loop"]["guard"] == 1
    assert manifest["packages"]["torch"]


@pytest.mark.usefixtures("scripted")
def test_a_policy_comes_of_it_and_writes_notes(train: Call, seal: Call, model: Path, tmp_path: Path) -> None:
    ran = train("--merge", tmp_path / "merged")
    assert ran.code == 0, ran.err
    assert "policy" in ran.out
    assert f"--policy {tmp_path / 'run'}" in ran.out
    assert (tmp_path / "run" / "report.md").is_file()
    assert (tmp_path / "run" / "report.html").is_file()
    assert load_model(str(tmp_path / "merged"), device="cpu", dtype="float32").identity
    text = tmp_path / "text.txt"
    text.write_text("Keeper Abbo lost eleven keys.", encoding="utf-8")
    adapted = seal("adapt", text, "--model", model, "--policy", tmp_path / "run", "--epochs", 1, "--json")
    assert [edit["format"] for edit in adapted.json["self_edits"]] == ["rewrite"]
    refused = seal("adapt", text, "--model", model, "--policy", tmp_path / "run", "--format", "evidence")
    assert refused.code == 2
    assert "rewrite" in refused.err


@pytest.mark.usefixtures("scripted")
def test_the_same_command_again_comes_to_the_same_and_another_is_refused(train: Call) -> None:
    first = train("--json").json
    assert first["policy"]
    assert train("--json").json == first
    refused = train("--epochs", 2)
    assert refused.code == 2
    assert "inner_loop.epochs was 1, is 2" in refused.err
    assert len(refused.err.strip().splitlines()) == 1


@pytest.mark.usefixtures("scripted")
def test_ctrl_c_says_how_to_go_on_and_the_status_shows_how_far_it_was(
    train: Call, seal: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = []

    def looked_at(*_: object) -> None:
        states.append(read_status(tmp_path / "run"))  # the run holds its lock now
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(stages, "finetune", looked_at)
        ran = train()
    assert ran.code == 130
    assert "the same command goes on from here" in ran.err
    assert len(ran.err.strip().splitlines()) == 1
    status = seal("train", "--status", tmp_path / "run", "--json").json
    assert not status["finished"]
    assert (status["round"], status["stage"]) == (0, "finetune") == (states[0].current.round, "finetune")
    assert [(s["stage"], s["done"], s["total"]) for s in status["rounds"][0]["stages"]] == [
        ("propose", 1, 1),
        ("evaluate", 2, 2),
        ("finetune", 0, 1),
        ("round", 0, 1),
    ]
    assert status["rounds"][0]["rewards"] == 12
    assert status["rounds"][0]["best"] >= status["rounds"][0]["mean"]
    assert status["seconds_left"] > 0
    assert "at finetune of round 1" in seal("train", "--status", tmp_path / "run").out
    assert train("--json").code == 0
    assert seal("train", "--status", tmp_path / "run", "--json").json["finished"]
    assert "finished" in seal("train", "--status", tmp_path / "run").out


@pytest.mark.usefixtures("scripted")
def test_votes_need_no_labels(train: Call, data: Path, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in data.read_text(encoding="utf-8").splitlines()]
    data.write_text("\n".join(json.dumps({**row, "questions": []}) for row in rows), encoding="utf-8")
    assert "no passage of the data has questions" in train().err
    ran = train("--reward", "votes", "--rounds", 1)
    assert ran.code == 0, ran.err


@pytest.mark.usefixtures("scripted")
def test_a_run_that_fools_itself_is_stopped_and_reported(
    train: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collapse, "MIN_DIVERSITY", 1.1)
    ran = train("--reward", "votes")
    assert ran.code == 1
    assert "stopped after round 1" in ran.err
    assert len(ran.err.strip().splitlines()) == 1
    assert "agrees with itself" in (tmp_path / "run" / "report.md").read_text(encoding="utf-8")


@pytest.mark.usefixtures("scripted")
def test_an_early_stop_says_why_and_the_run_is_finished(
    train: Call, seal: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collapse, "MIN_DIVERSITY", 1.1)
    ran = train("--reward", "votes", "--early-stop")
    assert ran.code == 0, ran.err
    assert "stopped early after round 1: its self-edits of one context hardly differ" in ran.out
    assert "the collapse came before there was a policy to trust" in ran.out
    assert train("--reward", "votes", "--early-stop", "--json").json["stopped"].startswith("its self-edits")
    assert "finished, stopped early after round 1: its self-edits" in seal("train", "--status", tmp_path / "run").out
    status = seal("train", "--status", tmp_path / "run", "--json").json
    assert (status["finished"], status["round"], status["seconds_left"]) == (True, 0, 0)
    assert status["stopped"].startswith("its self-edits")


@pytest.mark.usefixtures("scripted")
def test_a_rubric_trains_no_adapters(train: Call, seal: Call, tmp_path: Path) -> None:
    ran = train("--reward", "rubric", "--rounds", 1, "--json")
    assert ran.code == 0, ran.err
    assert ran.json["policy"], "the best of each context by the judge"
    status = seal("train", "--status", tmp_path / "run", "--json").json
    assert [stage["stage"] for stage in status["rounds"][0]["stages"]] == ["propose", "judge", "finetune", "round"]
    assert "a judge" in (tmp_path / "run" / "report.md").read_text(encoding="utf-8")
    assert train("--reward", "rubric", "--rounds", 1, "--dry-run", "--json").json["adapters"] == 0


@pytest.mark.parametrize("reward", ["questions", "votes"])
def test_a_judge_grades_a_run_and_belongs_to_its_settings(train: Call, tmp_path: Path, reward: str) -> None:
    small = ("--rounds", 1, "--contexts", 1, "--edits", 1, "--seeds", 1, "--reward", reward)
    with Server(lambda handler, number, body: reply(handler, "yes")) as server:
        judge = ("--grader", "judge", "--judge-model", "a-judge", "--judge-url", server.url)
        assert train(*small, *judge, "--dry-run").code == 0
        assert not (tmp_path / "run").exists()
        ran = train(*small, *judge, "--json")
        assert ran.code == 0, ran.err
        assert {request["model"] for request in server.requests} == {"a-judge"}
        asked = len(server.requests)
        assert train(*small, *judge, "--json").json == ran.json
        assert len(server.requests) == asked, "what is finished is not judged again"
    config = json.loads((tmp_path / "run" / "manifest.json").read_text(encoding="utf-8"))["config"]
    assert config["grader"] == {"name": "judge", "judge": "a-judge", "judge_url": server.url}
    assert (tmp_path / "run" / "judge.sqlite").is_file()
    refused = train(*small)
    assert refused.code == 2
    assert "grader was" in refused.err


def test_a_judge_that_was_away_is_named_and_asked_again(train: Call) -> None:
    small = ("--rounds", 1, "--contexts", 1, "--edits", 1, "--seeds", 1)
    status = 401
    with Server(lambda handler, number, body: reply(handler, "yes", status)) as server:
        judge = ("--grader", "judge", "--judge-model", "a-judge", "--judge-url", server.url)
        ran = train(*small, *judge)
        assert ran.code == 0, ran.err
        assert "all 1 evaluations failed, 1 of them because the answers to 2 of 2 questions" in ran.out
        assert "it asks the judge anew" in ran.out
        status = 200
        again = train(*small, *judge)
    assert again.code == 0, again.err
    assert "no self-edit was worth more than its passage alone" in again.out


def test_the_default_grader_leaves_settings_as_they_were(tiny_base: BaseModel) -> None:
    """Else runs that were begun before graders had names would not go on."""
    parts = (tiny_base, outer_loop_fakes.domain(), QuestionReward(), outer_loop_fakes.CONFIG)
    assert settings(*parts, grader={"name": "lexical"}) == settings(*parts)
    assert settings(*parts, grader={"name": "model"})["grader"] == {"name": "model"}


def test_a_worker_may_judge_itself(model: Path) -> None:
    worker = MakeWorker(str(model), device="cpu", dtype="float32", grader="model")()
    assert isinstance(worker.grader, ModelJudge)
    assert worker.grader.engine is worker.engine


def test_grids_have_no_grader(seal: Call, tmp_path: Path) -> None:
    ran = seal("train", "--arc", "toy", "--run", tmp_path / "run", "--model", "/nowhere/model", "--grader", "model")
    assert ran.code == 2
    assert "leave it out" in ran.err


# ---------------------------------------------------------------- before a run


@pytest.mark.usefixtures("scripted")
def test_a_dry_run_counts_and_measures_and_writes_nothing(train: Call, tmp_path: Path) -> None:
    planned = train("--dry-run", "--json").json
    assert planned["adapters"] == 3 * 2 + 2 * 6 * 2, "the contexts alone in the first round only"
    assert planned["units"] == 3
    assert planned["questions"] == 9 * (2 + 1) + 2 * 9 * (4 + 1)
    assert planned["expected_seconds"] > 0
    assert not (tmp_path / "run").exists()
    assert "calibration" in train("--dry-run").out


def test_the_plan_is_what_the_ledger_holds_at_the_end(tiny_base: BaseModel) -> None:
    domain, config, worker = outer_loop_fakes.domain(), outer_loop_fakes.CONFIG, outer_loop_fakes.worker(tiny_base)
    cases = domain.cases(worker, domain.items(config.contexts, 0, config.seed), config.seed)
    counted = plan(domain, QuestionReward(), config, cases)
    assert counted.pieces(0) == {"propose": 2, "evaluate": 4, "finetune": 1, "round": 1}
    assert counted.pieces(1) == {"propose": 2, "evaluate": 2, "finetune": 1, "round": 1}
    assert counted.work("evaluate", 4) == 2 * counted.contexts + 2 * counted.self_edits


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--reward", "applause"), "use questions, votes or rubric"),
        (("--executor", "abacus"), "use inline or ray"),
        (("--workers", 2), "add --executor ray"),
        (("--guard", 1, "--reward", "votes"), "leave one of them out"),
        (("--judge-url", "http://x"), "belong to --reward rubric"),
        (("--judge-url", "http://x"), "or --grader judge"),
        (("--judge-model", "m", "--grader", "model"), "or --grader judge"),
        (("--judge-url", "http://x", "--reward", "rubric"), "give --judge-model"),
        (("--judge-url", "http://x", "--grader", "judge"), "give --judge-model"),
        (("--judge-url", "x", "--judge-model", "m", "--grader", "judge"), "must begin with http"),
        (("--grader", "judge"), "give judge_model (--judge-model)"),
        (("--grader", "nobody"), "use one of lexical, judge, model"),
        (("--grader", "model", "--reward", "rubric"), "asks no questions; leave it out"),
        (("--report-to", "abacus"), "use tensorboard, wandb, trackio"),
        (("--rounds", 0), "rounds must be at least 1"),
        (("--format", "evidence"), "no policy can learn to write it"),
        (("--guard", 3), "use a smaller --guard or fewer --contexts"),
    ],
)
def test_misuse_is_one_sentence_before_the_model_is_loaded(
    train: Call, tmp_path: Path, arguments: tuple[object, ...], says: str
) -> None:
    ran = train(*arguments, "--model", "/nowhere/model")
    assert ran.code == 2
    assert says in " ".join(ran.err.split())
    assert len(ran.err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "option",
    [
        ("--early-stop",),
        ("--teacher", "base"),
        ("--curriculum", 0.5),
        ("--executor", "ray"),
        ("--workers", 2),
        ("--archive",),
        ("--contexts", 3),
        ("--grader", "model"),
        ("--judge-model", "m"),
        ("--format", "rewrite"),
        ("--epochs", 1),
        ("--tasks", 3),
        ("--report-to", "trackio"),
        ("--keep-adapters",),
    ],
)
def test_options_that_say_nothing_about_pictures_are_refused(
    seal: Call, tmp_path: Path, option: tuple[object, ...]
) -> None:
    asked = ("--pictures", tmp_path, "--reward", "votes", "--run", tmp_path / "run", "--model", "/nowhere/model")
    ran = seal("train", *asked, *option)
    assert ran.code == 2
    assert f"{option[0]} is not for --pictures; leave it out" in " ".join(ran.err.split())


def test_data_and_run_are_needed_and_a_folder_without_a_run_is_no_status(seal: Call, tmp_path: Path) -> None:
    assert "--data" in seal("train").err
    ran = seal("train", "--status", tmp_path)
    assert ran.code == 2
    assert "there is no run" in ran.err
    (tmp_path / "manifest.json").write_text('{"config": {}}', encoding="utf-8")
    assert "was not begun by `seal train`" in seal("train", "--status", tmp_path).err
    (tmp_path / "manifest.json").write_text("{", encoding="utf-8")
    assert "is damaged" in seal("train", "--status", tmp_path).err
    (tmp_path / "x").touch()
    assert "not an empty folder" in seal("train", "--data", "d", "--run", "r", "--merge", tmp_path).err


def test_help_shows_an_example(seal: Call) -> None:
    assert "Example:" in seal("train", "--help").out


# ---------------------------------------------------------------- the guard set


def contexts(*titles: str) -> list[Context]:
    return [Context(f"Text {i}.", title, (Question("?", ("!",)),)) for i, title in enumerate(titles)]


def test_the_guard_set_is_about_other_things_than_any_round(tiny_base: BaseModel) -> None:
    config = OuterLoopConfig(rounds=2, contexts=2, guard=2, fresh_contexts=True, self_edit=outer_loop_fakes.SELF_EDIT)
    domain = passages_for(contexts("a", "a", "b", "c", "d", "e", "f", "f"), config)
    assert isinstance(domain, KnowledgeDomain)
    assert len(domain.contexts) == 4
    assert not {c.title for c in domain.contexts} & {c.title for c in domain.others}
    assert len(domain.guard(2, 0)) == 2
    rounds = [{c.text for c in domain.items(2, skip, 0)} for skip in (0, 2)]
    assert not rounds[0] & rounds[1]


def test_a_guard_set_that_the_data_cannot_give_is_refused() -> None:
    config = OuterLoopConfig(contexts=2, guard=1, self_edit=outer_loop_fakes.SELF_EDIT)
    with pytest.raises(InputError, match="the data has 0"):
        passages_for(contexts("a", "a", "a"), config)


# ---------------------------------------------------------------- the policy in the model


@pytest.fixture
def policy(tiny_base: BaseModel, tmp_path: Path) -> Path:
    from conftest import random_adapter

    name = save_policy(random_adapter(tiny_base, 5), ("rewrite",), tiny_base, tmp_path / "policy")
    return tmp_path / "policy" / name


def opened(base: BaseModel, tmp_path: Path, policy: str | Path) -> SelfAdaptingModel:
    return SelfAdaptingModel(base, home=tmp_path / "home", engine=outer_loop_fakes.AdapterEngine(), policy=policy)


def test_a_policy_writes_the_formats_it_learnt(tiny_base: BaseModel, tmp_path: Path, policy: Path) -> None:
    model = opened(tiny_base, tmp_path, policy)
    assert [edit.format for edit in model.propose("Keeper Abbo lost keys.").self_edits] == ["rewrite"]
    other = model.propose("Keeper Abbo lost keys.", self_edit=SelfEditConfig(formats=("implications",), verify="off"))
    assert [edit.format for edit in other.self_edits] == ["implications"]


@pytest.mark.parametrize("formats", [("passage",), DERIVED_FORMATS])
def test_formats_that_no_policy_writes_are_refused(
    tiny_base: BaseModel, tmp_path: Path, policy: Path, formats: tuple[str, ...]
) -> None:
    with pytest.raises(InputError, match="rewrite"):
        opened(tiny_base, tmp_path, policy).propose("Keeper Abbo.", self_edit=SelfEditConfig(formats=formats))


def test_a_policy_is_a_folder_or_a_stored_adapter_of_the_same_model(
    tiny_base: BaseModel, tiny_base_plain: BaseModel, tmp_path: Path, policy: Path
) -> None:
    assert load_policy(policy).base == tiny_base.identity
    with pytest.raises(AdapterError, match="another base model"):
        opened(tiny_base_plain, tmp_path, policy)
    with pytest.raises(AdapterError, match="there is no adapter in"):
        opened(tiny_base, tmp_path, tmp_path / "nowhere")
    with pytest.raises(AdapterError, match="nobody"):
        opened(tiny_base, tmp_path, "nobody")
    assert opened(tiny_base, tmp_path, "default").policy is None


# ---------------------------------------------------------------- bars


def test_bars_show_rate_time_left_and_rewards(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(0, 1000, 30))
    monkeypatch.setattr(console.time, "monotonic", lambda: float(next(now)))
    bars = console.Progress(disable=True)
    tell = console.RoundBars(bars, 2, lambda stage, done: float(done))
    tell(0, "evaluate", 2, 10)
    tell(0, "evaluate", 4, 10, [0.5, 0.0])
    (task,) = bars.tasks
    assert task.description == "round 1/2 · evaluate"
    assert task.fields["rewards"] == "best +0.50 mean +0.25"
    assert "2.0/min" in task.fields["pace"]
    assert console.duration(59) == "59 s"
    assert console.duration(300) == "5 min"
    assert console.duration(7500) == "2 h 05 min"


def test_a_run_of_before_identities_followed_weights_goes_on(
    tiny_base: BaseModel, save_model: Callable[[BaseModel, Path], Path], tmp_path: Path
) -> None:
    base = load_model(save_model(tiny_base, tmp_path / "model"), device="cpu", dtype="float32")
    run = tmp_path / "run"
    run.mkdir()
    (run / "manifest.json").write_text(json.dumps({"config": {"base": base.former_identity}}))
    assert resumed_base(base, run).identity == base.former_identity
    assert resumed_base(base, tmp_path / "new").identity == base.identity
    (run / "manifest.json").write_text(json.dumps({"config": {"base": "another model"}}))
    assert resumed_base(base, run).identity == base.identity


# ---------------------------------------------------------------- recipes


def test_a_run_takes_its_settings_from_a_recipe_and_options_change_them() -> None:
    search = SearchOptions()
    named = EditOptions(recipe="implications", epochs=3).config(search, None, 0)
    assert named.self_edit == RECIPES["implications"].self_edit
    assert named.inner_loop == replace(RECIPES["implications"].inner_loop, epochs=3)
    assert EditOptions().config(search, None, 0).inner_loop == RECIPES["paper"].inner_loop
    arc = EditOptions(recipe="paper").config(search, "toy", 0)
    assert arc.inner_loop == RECIPES["paper"].arc_inner_loop
    assert EditOptions().config(search, "toy", 0).inner_loop == RECIPES["default"].arc_inner_loop


@pytest.mark.parametrize("recipe", ["base", "retrieval", "rest_em", "paper/cpt-full"])
def test_a_recipe_that_no_policy_can_be_taught_by_is_refused(recipe: str) -> None:
    with pytest.raises(InputError, match=f"a policy cannot be taught by the recipe {recipe}"):
        EditOptions(recipe=recipe).config(SearchOptions(), None, 0)
