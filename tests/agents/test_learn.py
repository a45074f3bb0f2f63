"""Learning what worked: `SelfAdaptingModel.learn` and `seal learn`, on a tiny model that really trains."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import Call, caller
from fakes import ScriptedEngine

from seal_agent.adaptation.gate.decision import MinimumGain
from seal_agent.agents.trajectories.conversation import encode_trajectory, turns_before
from seal_agent.agents.trajectories.lesson import in_words, proposal_of
from seal_agent.agents.trajectories.lines import read_trajectories, to_lines
from seal_agent.agents.trajectories.store import TrajectoryStore
from seal_agent.agents.trajectories.trajectory import Step, Trajectory
from seal_agent.base_model.model import BaseModel
from seal_agent.config import RECIPES, SelfEditConfig
from seal_agent.errors import InputError
from seal_agent.generation.answer_form.form import Form, Tool
from seal_agent.generation.answer_form.prompt import prompt_in_form
from seal_agent.generation.hf import HFEngine
from seal_agent.model import SelfAdaptingModel
from seal_agent.outer_loop.policy import save_policy
from seal_agent.store.policies import flagged_policies, register_policies, text_hash
from seal_agent.store.verify import verify
from seal_agent.types import ToolCall

QUICK = replace(RECIPES["paper"].inner_loop, rank=4, alpha=8.0, epochs=3, learning_rate=1e-2)
TOOL = Tool("open", "Open a door.", {"type": "object", "properties": {"door": {"type": "string"}}})


def success(colour: str, **changes: object) -> Trajectory:
    call = ToolCall("open", f'{{"door": "{colour}"}}')
    made = Trajectory(f"Open the {colour} door.", (Step("Two doors.", call),), "success", "person", (TOOL,))
    return replace(made, **changes)


@pytest.fixture
def model(tiny_base: BaseModel, tmp_path: Path) -> SelfAdaptingModel:
    return SelfAdaptingModel(tiny_base, home=tmp_path / "home", engine=ScriptedEngine({"": "Tarawa."}))


def test_the_action_becomes_likelier_in_the_form_in_which_it_is_asked_for(
    model: SelfAdaptingModel, tiny_base: BaseModel
) -> None:
    thorough = replace(QUICK, targets=("all",), epochs=30)
    revision = model.learn([success("red")], adapter="work", inner_loop=thorough, gate=None)
    assert revision.status == "active"
    assert "person" in revision.context.text
    prompt = prompt_in_form(turns_before("Open the red door.", (), "Two doors."), Form((TOOL,)), tiny_base)
    call = '<tool_call>{"name": "open", "arguments": {"door": "red"}}</tool_call>'
    engine = HFEngine(tiny_base)
    (base,), (adapted,) = engine.score([prompt], [call]), engine.score([prompt], [call], [model.adapter("work")])
    assert sum(adapted) > sum(base) / 2


def test_only_verified_successes_are_learnt_and_all_are_kept(model: SelfAdaptingModel) -> None:
    failed, unsure = success("blue", outcome="failure"), success("green", verified_by="")
    revision = model.learn([success("red"), failed, unsure], adapter="work", inner_loop=QUICK, gate=None)
    learnt = {kept.trajectory.goal: kept.learnt for kept in model.trajectories("work").all()}
    assert learnt == {"Open the red door.": revision.id, "Open the blue door.": "", "Open the green door.": ""}
    with pytest.raises(InputError, match="none of 2 trajectories is a verified success"):
        model.learn([failed, unsure], adapter="work", inner_loop=QUICK)
    assert len(model.history("work")) == 1


def test_what_was_learnt_is_not_learnt_again(model: SelfAdaptingModel) -> None:
    first = model.learn([success("red")], adapter="work", inner_loop=QUICK, gate=None)
    assert model.learn([success("red")], adapter="work", inner_loop=QUICK, gate=None) == first


def test_of_a_file_that_grows_only_what_is_new_is_learnt(model: SelfAdaptingModel) -> None:
    first = model.learn([success("red")], adapter="work", inner_loop=QUICK, gate=None)
    grown = model.learn([success("red"), success("blue")], adapter="work", inner_loop=QUICK, gate=None)
    assert grown.parent == first.id
    assert "blue" in grown.context.text
    assert "red" not in grown.context.text
    assert model.learn([success("red"), success("blue")], adapter="work", inner_loop=QUICK, gate=None) == grown
    longer = replace(QUICK, epochs=4)
    assert "red" in model.learn([success("red")], adapter="work", inner_loop=longer, gate=None).context.text


def test_what_was_rolled_back_is_learnt_again_and_forgotten_everywhere(model: SelfAdaptingModel) -> None:
    """It stands in two revisions then; what only the other learnt is not forgotten, and can be learnt again."""
    first = model.learn([success("red"), success("green")], adapter="work", inner_loop=QUICK, gate=None)
    model.rollback("work", to="base")
    second = model.learn([success("red"), success("blue")], adapter="work", inner_loop=QUICK, gate=None)
    assert second.parent is None
    model.forget(first.id)
    assert model.adapters()["work"] is None
    assert [(kept.trajectory.goal, kept.learnt) for kept in model.trajectories("work").all()] == [
        ("Open the blue door.", "")
    ]
    assert [each.goal for each in model.trajectories("work").untried()] == ["Open the blue door."]
    stored = model.ledger.path.read_bytes()
    assert b"Open the red door" not in stored
    assert b"Open the green door" not in stored
    assert not verify(model.ledger).problems


def test_what_the_gate_refused_is_not_learnt_and_offered_again(model: SelfAdaptingModel) -> None:
    refused = model.learn([success("red")], adapter="work", inner_loop=QUICK, gate=MinimumGain())
    assert refused.status == "rejected"
    store = model.trajectories("work")
    assert [each.goal for each in store.to_learn()] == ["Open the red door."]
    assert store.untried() == []
    learnt = model.learn(store.to_learn(), adapter="work", inner_loop=QUICK, gate=None)
    assert [kept.learnt for kept in store.all()] == [learnt.id]
    model.forget(refused.id)
    assert store.all() == []
    assert model.adapters()["work"] is None, "the text that was refused first had been learnt since"


def test_policies_of_a_run_are_flagged_where_one_of_their_lessons_is_forgotten(
    model: SelfAdaptingModel, tmp_path: Path
) -> None:
    two = success("red", goal="Open the red door.\n\nQuickly.")
    revision = model.learn([two, success("blue")], adapter="work", inner_loop=QUICK, gate=None)
    folder = tmp_path / "run"
    name = save_policy(model.adapter("work"), ("actions",), model.base, folder / "policy", {text_hash(in_words(two))})
    register_policies(model.ledger, folder)
    model.forget(revision.id)
    assert list(flagged_policies(folder)) == [name]


def test_a_strangers_trajectory_is_quarantined(model: SelfAdaptingModel) -> None:
    revision = model.learn([success("red", trust="untrusted")], adapter="work", inner_loop=QUICK, gate=None)
    assert revision.status == "quarantined"


def test_the_gate_judges_it_as_any_revision(model: SelfAdaptingModel) -> None:
    revision = model.learn([success("red")], adapter="work", inner_loop=QUICK)
    checks = {check.name: check.passed for check in revision.checks}
    assert checks["learned"] is None, "no question tells what was learnt"
    assert "drift" in checks


def test_an_adapter_that_knows_a_text_learns_actions_and_forgets_either(model: SelfAdaptingModel) -> None:
    notes = SelfEditConfig(formats=("passage",), self_test=0)
    text = model.adapt("Makin is an atoll.", adapter="work", self_edit=notes, inner_loop=QUICK, gate=None)
    acted = model.learn([success("red")], adapter="work", inner_loop=QUICK, gate=None)
    assert acted.parent == text.id
    again = model.forget(text.id)
    assert again is not None
    assert [kept.learnt for kept in model.trajectories("work").all()] == [again.id]
    model.forget(again.id)
    assert model.trajectories("work").all() == []
    assert b"Open the red door" not in model.ledger.path.read_bytes()
    assert not verify(model.ledger).problems


def test_deleting_an_adapter_deletes_its_trajectories(model: SelfAdaptingModel) -> None:
    model.learn([success("red")], adapter="work", inner_loop=QUICK, gate=None)
    model.delete_adapter("work")
    assert model.trajectories("work").all() == []
    assert not verify(model.ledger).problems


def test_namespaces_do_not_see_each_others_trajectories(model: SelfAdaptingModel) -> None:
    ann, bob = model.in_namespace(("ann",)), model.in_namespace(("bob",))
    ann.learn([success("red")], inner_loop=QUICK, gate=None)
    assert len(ann.trajectories().all()) == 1
    assert bob.trajectories().all() == []


# ------------------------------------------------------------ the command line


@pytest.fixture
def seal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Call:
    return caller(monkeypatch, capsys, tmp_path / "store")


@pytest.fixture
def folder(tiny_base: BaseModel, save_model: Callable[[BaseModel, Path], Path], tmp_path: Path) -> Path:
    return save_model(tiny_base, tmp_path / "model")


def test_seal_learn_and_seal_trajectories(seal: Call, folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "runs.jsonl"
    file.write_text(to_lines([success("red"), success("blue", outcome="failure")]), encoding="utf-8")
    options = ("--adapter", "work", "--model", folder, "--recipe", "paper", "--epochs", 1, "--no-gate")
    learnt = seal("learn", "--trajectories", file, *options, "--json")
    assert learnt.code == 0, learnt.err
    assert learnt.json["status" if "status" in learnt.json else "state"] == "active"
    listed = seal("trajectories", "--adapter", "work", "--json").json["trajectories"]
    assert [row["learnt"] for row in listed] == [learnt.json["id"], ""]
    copy = tmp_path / "copy.jsonl"
    assert seal("trajectories", "--adapter", "work", "--export", copy).code == 0
    assert read_trajectories(copy) == read_trajectories(file)
    failed = seal("trajectories", "--adapter", "work", "--forget", listed[1]["id"], "--json")
    assert [row["id"] for row in failed.json["trajectories"]] == [listed[0]["id"]]
    nothing = seal("learn", *options)
    assert (nothing.code, "has no verified successes left" in nothing.err) == (2, True)


def test_seal_learn_names_what_is_wrong_before_a_model_is_loaded(seal: Call, tmp_path: Path) -> None:
    file = tmp_path / "runs.jsonl"
    file.write_text(to_lines([success("red", verified_by="")]), encoding="utf-8")
    refused = seal("learn", "--trajectories", file, "--model", tmp_path / "nowhere")
    assert (refused.code, "1 are not verified" in refused.err) == (2, True)
    file.write_text('{"goal": 1}\n', encoding="utf-8")
    refused = seal("learn", "--trajectories", file, "--model", tmp_path / "nowhere")
    assert (refused.code, f"line 1 of {file}" in refused.err) == (2, True)


def test_a_lesson_is_as_long_as_the_limit_allows(tiny_base: BaseModel) -> None:
    """Where a trajectory is longer, its actions are learnt one by one, each with what was seen last."""
    call = ToolCall("open", '{"door": "red"}')
    long = success("red", steps=tuple(Step(f"{number}" + "x" * 100, call) for number in range(5)))
    (whole,), cut = encode_trajectory(tiny_base, long, 4096), encode_trajectory(tiny_base, long, 1400)
    assert max(len(each.input_ids) for each in cut) <= 1400 < len(whole.input_ids)
    proposal = proposal_of([long], tiny_base, "work", None, 1400)
    assert len(proposal.self_edits) == len(cut)
    assert "4xxx" in proposal.self_edits[-1].prompt


def test_a_kill_right_after_the_commit_leaves_nothing_that_forget_does_not_find(
    model: SelfAdaptingModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(TrajectoryStore, "mark_learnt", killed)
        with pytest.raises(KeyboardInterrupt):
            model.learn([success("red")], adapter="work", inner_loop=QUICK, gate=None)
    (revision,) = model.history("work")
    assert [kept.learnt for kept in model.trajectories("work").all()] == [revision.id]
    model.forget(revision.id)
    assert model.trajectories("work").all() == []
    assert b"Open the red door" not in model.ledger.path.read_bytes()
