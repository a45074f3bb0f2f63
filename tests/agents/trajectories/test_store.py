"""The trajectory store: in the ledger and its chain, redacted, bounded, and forgotten with what was learnt."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from made_trajectories import BLUE, RED, TOOL, TRAJECTORY

from seal_agent.adaptation.forget import delete_adapter
from seal_agent.agents.trajectories.store import TrajectoryStore
from seal_agent.agents.trajectories.trajectory import Step, Trajectory
from seal_agent.config import TrajectoryLimits
from seal_agent.errors import AdapterError, InputError
from seal_agent.store import schema
from seal_agent.store.ledger import Ledger
from seal_agent.store.verify import verify


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "home")


def made(number: int, **changes: object) -> Trajectory:
    return replace(TRAJECTORY, goal=f"Open door {number}.", **changes)


def test_what_is_added_comes_back_with_its_provenance(ledger: Ledger) -> None:
    store = TrajectoryStore(ledger, "work")
    store.add([TRAJECTORY])
    (kept,) = store.all()
    assert kept.trajectory == TRAJECTORY
    assert kept.id == TRAJECTORY.id
    assert not kept.learnt
    assert TrajectoryStore(ledger, "other").all() == []
    assert not verify(ledger).problems


def test_the_same_run_is_kept_once_and_can_be_verified_later(ledger: Ledger) -> None:
    store = TrajectoryStore(ledger, "work")
    unknown = replace(TRAJECTORY, outcome="unknown", verified_by="")
    store.add([unknown, unknown])
    assert store.to_learn() == []
    store.verify(unknown.id, "success", "person")
    assert [each.verified_by for each in store.to_learn()] == ["person"]
    assert len(store.all()) == 1
    assert not verify(ledger).problems
    with pytest.raises(AdapterError, match="no trajectory"):
        store.verify("none", "success", "person")


@pytest.mark.parametrize("again", [{"outcome": "unknown", "verified_by": ""}, {"verified_by": ""}])
def test_the_same_run_again_does_not_take_back_what_a_person_verified(ledger: Ledger, again: dict[str, str]) -> None:
    store = TrajectoryStore(ledger, "work")
    unknown = replace(TRAJECTORY, outcome="unknown", verified_by="")
    store.add([unknown])
    store.verify(unknown.id, "failure", "person")
    (kept,) = store.add([replace(TRAJECTORY, **again)])
    assert (kept.outcome, kept.verified_by) == ("failure", "person")
    assert [each.trajectory for each in store.all()] == [kept]
    store.add([TRAJECTORY])
    assert [each.verified_by for each in store.to_learn()] == ["environment:doors"], "the last to verify it has its say"
    assert not verify(ledger).problems


def test_the_oldest_are_deleted_beyond_the_limit(ledger: Ledger) -> None:
    store = TrajectoryStore(ledger, "work", limits=TrajectoryLimits(trajectories=2))
    store.add([made(1)])
    store.add([made(2), made(3)])
    assert [kept.trajectory.goal for kept in store.all()] == ["Open door 2.", "Open door 3."]
    assert not verify(ledger).problems


def test_nothing_is_written_where_one_of_several_is_refused(ledger: Ledger) -> None:
    store = TrajectoryStore(ledger, "work")
    with pytest.raises(InputError):
        store.add([TRAJECTORY, replace(TRAJECTORY, steps=())])
    assert store.all() == []


def test_what_is_redacted_is_nowhere_on_disk(ledger: Ledger) -> None:
    store = TrajectoryStore(ledger, "work", redact=lambda text: text.replace("red", "***"))
    store.add([TRAJECTORY])
    ledger.scrub()
    for path in ledger.path.parent.glob("ledger.sqlite*"):
        assert b"The red door" not in path.read_bytes()


def test_a_secret_is_redacted_before_it_could_be_cut_in_two(ledger: Ledger) -> None:
    limits = TrajectoryLimits(characters=30)
    store = TrajectoryStore(ledger, "work", redact=lambda text: text.replace("4711-0815", "***"), limits=limits)
    (kept,) = store.add([replace(TRAJECTORY, result="x" * 24 + "4711-0815")])
    assert "4711" not in kept.result
    assert kept.result == "x" * 24 + "***"


def test_forgetting_leaves_no_text_and_a_whole_chain(ledger: Ledger) -> None:
    store = TrajectoryStore(ledger, "work")
    store.add([TRAJECTORY, made(2)])
    store.forget([TRAJECTORY.id])
    assert [kept.trajectory.goal for kept in store.all()] == ["Open door 2."]
    assert b"then the blue one" not in ledger.path.read_bytes()
    assert not verify(ledger).problems
    with pytest.raises(AdapterError, match="no trajectory"):
        store.forget([TRAJECTORY.id])


def test_one_that_was_learnt_is_forgotten_through_its_revision(ledger: Ledger) -> None:
    store = TrajectoryStore(ledger, "work")
    store.add([TRAJECTORY])
    store.mark_learnt([TRAJECTORY], "abc")
    assert store.to_learn() == []
    with pytest.raises(AdapterError, match="seal forget abc"):
        store.forget([TRAJECTORY.id])


def test_what_a_refused_revision_was_trained_on_is_still_to_be_learnt(ledger: Ledger) -> None:
    store = TrajectoryStore(ledger, "work")
    store.add([TRAJECTORY, made(2)])
    store.mark_tried([TRAJECTORY], "abc")
    assert [each.goal for each in store.to_learn()] == [TRAJECTORY.goal, "Open door 2."]
    assert [each.goal for each in store.untried()] == ["Open door 2."]
    with pytest.raises(AdapterError, match="abc was trained on trajectory"):
        store.forget([TRAJECTORY.id])


def test_an_adapter_with_nothing_but_trajectories_can_be_deleted(ledger: Ledger) -> None:
    TrajectoryStore(ledger, "work").add([TRAJECTORY])
    delete_adapter(ledger, "work")
    assert TrajectoryStore(ledger, "work").all() == []
    assert b"then the blue one" not in ledger.path.read_bytes()


def test_a_changed_or_vanished_row_is_noticed(ledger: Ledger) -> None:
    store = TrajectoryStore(ledger, "work")
    store.add([TRAJECTORY, made(2)])
    db = sqlite3.connect(ledger.path)
    db.execute("UPDATE trajectories SET body = replace(body, 'red', 'green') WHERE id = ?", (TRAJECTORY.id,))
    db.execute("DELETE FROM trajectories WHERE id = ?", (made(2).id,))
    db.commit()
    problems = [problem.what for problem in verify(ledger).problems]
    assert any("was changed" in problem for problem in problems)
    assert any("has vanished" in problem for problem in problems)


def test_a_ledger_from_before_gets_the_table(tmp_path: Path) -> None:
    home = tmp_path / "old"
    Ledger(home).database.close()
    db = sqlite3.connect(home / "ledger.sqlite")
    db.execute("DROP TABLE trajectories")
    db.execute("PRAGMA user_version = 1")
    db.commit()
    db.close()
    store = TrajectoryStore(Ledger(home), "work")
    store.add([Trajectory("Wait.", (Step("", RED), Step("", BLUE)), tools=(TOOL,))])
    assert len(store.all()) == 1
    assert sqlite3.connect(home / "ledger.sqlite").execute("PRAGMA user_version").fetchone() == (schema.VERSION,)
