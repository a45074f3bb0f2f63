"""States of revisions under whatever happens meanwhile, and what verify and backups make of it."""

from __future__ import annotations

import os
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import Call, caller
from conftest import random_adapter
from killed_store import NOTES, QUICK, TEXTS, adapt, opened
from revisions import problems, revision

from seal_agent import durable
from seal_agent.adaptation.reviews import promote, revoke
from seal_agent.base_model.model import BaseModel
from seal_agent.config import Limits
from seal_agent.errors import AdapterError, BudgetError, InputError, StoreError
from seal_agent.lora.peft_files import write_peft
from seal_agent.model import SelfAdaptingModel
from seal_agent.store import budget, cleaning
from seal_agent.store.backup import backup, restore
from seal_agent.store.ledger import Ledger
from seal_agent.store.verify import verify


@pytest.fixture
def seal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Runs `seal …` in this process."""
    return caller(monkeypatch, capsys)


# ---------------------------------------------------------------- revoked


def test_what_is_trained_on_a_parent_that_is_revoked_meanwhile_is_revoked(ledger: Ledger) -> None:
    ledger.record(revision("r1"), "p1", "f1")
    ledger.record(revision("r2", "r1"), "p2", "f2")
    revoke(ledger, ledger.get("r2"))
    late = ledger.record(revision("r3", "r2"), "p3", "f3", onto="r2")
    assert (late.status, late.accepted) == ("revoked", False)
    assert "revoked, as r2 was" in late.reason
    assert ledger.active("a") == "r1"
    with pytest.raises(AdapterError, match="is revoked"):
        ledger.rollback("a", "r3")
    assert problems(ledger, weights=False) == []


class Stopped(BaseException):
    """A process that ends in the middle."""


def test_revoking_is_one_step_of_the_ledger(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger.record(revision("r1"), "p1", "f1")
    ledger.record(revision("r2", "r1"), "p2", "f2")
    left = 3

    def stop(name: str) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise Stopped

    monkeypatch.setattr(durable, "hook", stop)
    with pytest.raises(Stopped):
        revoke(ledger, ledger.get("r1"))
    monkeypatch.setattr(durable, "hook", None)
    assert [one.status for one in ledger.history("a")] == ["active", "active"]
    assert ledger.active("a") == "r2"
    assert revoke(ledger, ledger.get("r1")) is None
    assert [one.status for one in ledger.history("a")] == ["revoked", "revoked"]


def test_what_is_learnt_again_after_it_was_revoked_is_another_revision(model: SelfAdaptingModel) -> None:
    first = adapt(model, TEXTS[0])
    model.revoke(first.id)
    again = adapt(model, TEXTS[0])
    assert again.id != first.id
    assert {one.id: one.status for one in model.history()} == {first.id: "revoked", again.id: "active"}
    assert problems(model.ledger, weights=False) == []


def test_a_rollback_that_came_before_is_not_undone(ledger: Ledger) -> None:
    ledger.record(revision("r1"), "p1", "f1")
    ledger.record(revision("r2", "r1"), "p2", "f2")
    assert not ledger.activate("a", "r2", onto="r1"), "it is at r2"
    ledger.rollback("a", "base")
    assert not ledger.activate("a", "r2", onto="r1"), "somebody went to the base model"
    assert ledger.active("a") is None
    ledger.rollback("a", "r1")
    assert ledger.activate("a", "r2", onto="r1")
    revoke(ledger, ledger.get("r2"))
    assert not ledger.activate("a", "r2", onto="r1"), "it is revoked"


# ---------------------------------------------------------------- verify


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ("UPDATE revisions SET state = 'active' WHERE id = 'no'", "revision no is active, but was made rejected"),
        ("UPDATE revisions SET parent = NULL WHERE id = 'r2'", "revision r2 was changed: its parent is None"),
        ("UPDATE revisions SET adapter = 'b' WHERE id = 'r2'", "revision r2 was changed: its adapter is b"),
        ("DELETE FROM active", "adapter 'a' points at None, but was last set to r2"),
    ],
)
def test_rows_that_nobody_touched_since_are_checked_too(ledger: Ledger, change: str, what: str) -> None:
    ledger.record(revision("r1"), "p1", "f1")
    ledger.record(revision("r2", "r1"), "p2", "f2")
    ledger.record(revision("no", "r2", accepted=False), "p3", "f3")
    assert problems(ledger, weights=False) == []
    ledger.database.close()
    with sqlite3.connect(ledger.path) as db:
        db.execute(change)
    assert any(what in one for one in problems(ledger, weights=False)), problems(ledger, weights=False)


def test_what_is_imported_forgotten_and_imported_again_is_sound(
    model: SelfAdaptingModel, tiny_base: BaseModel, tmp_path: Path
) -> None:
    write_peft(random_adapter(tiny_base, 7), "x", "somebody's", tmp_path / "theirs")
    for _ in range(2):
        theirs = model.import_adapter(tmp_path / "theirs", adapter="guest")
        assert problems(model.ledger, weights=False) == []
        model.promote(theirs.id)
        model.forget(theirs.id)
    assert model.import_adapter(tmp_path / "theirs", adapter="guest").status == "quarantined"
    assert problems(model.ledger, weights=False) == []


# ---------------------------------------------------------------- backup


def test_a_store_that_could_not_be_restored_is_not_backed_up(model: SelfAdaptingModel, tmp_path: Path) -> None:
    adapt(model, TEXTS[0])
    (folder,) = (model.home / "adapters").iterdir()
    (folder / "stray.txt").write_text("x")
    with pytest.raises(StoreError, match=r"stray\.txt does not belong there.*`seal verify`"):
        backup(model.ledger, tmp_path / "b.tar")
    assert not (tmp_path / "b.tar").exists()
    (folder / "stray.txt").unlink()
    backup(model.ledger, tmp_path / "b.tar")
    restored = restore(tmp_path / "b.tar", tmp_path / "new")
    (mode,) = restored.database.connection.execute("PRAGMA journal_mode").fetchone()
    assert mode == "wal"


def test_a_place_that_was_only_looked_at_takes_a_backup(seal: Call, model: SelfAdaptingModel, tmp_path: Path) -> None:
    file, new, limited = tmp_path / "store.tar", tmp_path / "new", tmp_path / "limited"
    adapt(model, TEXTS[0])
    seal("backup", file, "--home", model.home)
    assert seal("adapters", "--home", new).code == 0  # makes a store
    watching = Ledger(new)
    (new / "adapters").mkdir(exist_ok=True)
    restored = restore(file, new)
    assert verify(restored) == verify(model.ledger)
    assert watching.adapters() == restored.adapters() == model.ledger.adapters() != {}
    seal("budget", "--adaptations", 3, "--home", limited)
    with pytest.raises(InputError, match="holds a store already"):
        restore(file, limited)


def test_half_a_restored_backup_is_deleted_later(
    model: SelfAdaptingModel, tiny_base: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    half = model.home / f"{cleaning.RESTORING}x"
    half.mkdir()
    (half / "ledger.sqlite").write_text("secret")
    opened(tiny_base, model.home)
    assert half.exists(), "somebody may be unpacking it now"
    os.utime(half, (0, 0))
    opened(tiny_base, model.home)
    assert not half.exists()


# ---------------------------------------------------------------- budgets and namespaces


def test_a_batch_that_is_refused_counts_nothing(model: SelfAdaptingModel) -> None:
    budget.set_limits(model.ledger, budget.STORE, Limits(adaptations=2))
    options = {"inner_loop": QUICK, "self_edit": NOTES, "gate": None}
    with pytest.raises(BudgetError, match="2 adaptations"):
        model.adapt_many(list(TEXTS), adapters=["a", "b", "c"], **options)  # type: ignore[call-overload]
    two = model.adapt_many(list(TEXTS[:2]), adapters=["a", "b"], **options)  # type: ignore[call-overload]
    assert model.adapt_many(list(TEXTS[:2]), adapters=["a", "b"], **options) == two, "known texts cost nothing"  # type: ignore[call-overload]


def test_deleting_does_not_give_the_store_its_hour_back(model: SelfAdaptingModel) -> None:
    budget.set_limits(model.ledger, budget.STORE, Limits(adaptations=1))
    adapt(model, TEXTS[0])
    model.delete_adapter("default")
    with pytest.raises(BudgetError, match="this store"):
        adapt(model, TEXTS[1])


def test_an_import_needs_room_and_forgetting_needs_no_budget(
    model: SelfAdaptingModel, tiny_base: BaseModel, tmp_path: Path
) -> None:
    first = adapt(model, TEXTS[0])
    adapt(model, TEXTS[1])
    budget.set_limits(model.ledger, budget.STORE, Limits(megabytes=0.0, adaptations=2))
    write_peft(random_adapter(tiny_base, 7), "x", "somebody's", tmp_path / "theirs")
    with pytest.raises(BudgetError, match="MB on disk"):
        model.import_adapter(tmp_path / "theirs", adapter="guest")
    assert model.forget(first.id)
    (count,) = model.ledger.database.connection.execute("SELECT COUNT(*) FROM runs").fetchone()
    assert count == 3, "what was learnt again counts"


def test_a_handle_gives_no_handle_on_another_namespace(model: SelfAdaptingModel) -> None:
    alice = model.in_namespace(("acme", "alice"))
    with pytest.raises(InputError, match=r"namespace acme\.alice and reaches no other"):
        alice.in_namespace(("acme", "bob"))


def test_a_share_that_the_gate_kept_is_what_is_learnt_again(model: SelfAdaptingModel) -> None:
    secret, kept = adapt(model, TEXTS[0]), adapt(model, TEXTS[1])
    model.ledger.record(replace(kept, share=0.5), "p", model.ledger.folder(kept.id))
    now = model.forget(secret.id)
    assert now is not None
    assert now.share == 0.5
    assert [(check.name, check.passed) for check in now.checks] == [("gate", None)]
    alone = opened(model.base, model.home / "elsewhere")
    whole = alone.weights_of(adapt(alone, TEXTS[1]).id)
    for name, pair in model.weights_of(now.id).pairs.items():
        assert pair.b_RO.allclose(0.5 * whole.pairs[name].b_RO)


# ---------------------------------------------------------------- recorded again


def test_what_is_in_use_stays_so_whatever_a_second_verdict_says(ledger: Ledger) -> None:
    waiting = replace(revision("q", accepted=False), state="quarantined")
    ledger.record(waiting, "p", "f", onto=None)
    promote(ledger, waiting)
    assert ledger.record(waiting, "p", "f", onto=None).status == "active", "somebody promoted it meanwhile"
    ledger.record(revision("r2", "q"), "p2", "f2")
    assert ledger.record(replace(waiting, state="rejected"), "p", "f", onto=None).status == "active"
    assert ledger.record(revision("q"), "p", "f", onto=None).reason == "because"
    assert ledger.active("a") == "r2"
    assert problems(ledger, weights=False) == []


def test_a_revision_that_was_recorded_again_and_vanished_is_missed(model: SelfAdaptingModel) -> None:
    model.forget(adapt(model, TEXTS[0]).id)
    again = adapt(model, TEXTS[0])
    model.rollback()
    with model.ledger.database.write() as db:
        db.execute("DELETE FROM revisions")
    assert f"revision {again.id} has vanished without having been forgotten" in problems(model.ledger)


# ---------------------------------------------------------------- homes


def test_a_home_without_a_store_is_neither_checked_nor_backed_up_nor_made(seal: Call, tmp_path: Path) -> None:
    for words in (("verify",), ("backup", tmp_path / "b.tar")):
        ran = seal(*words, "--home", tmp_path / "typo")
        assert (ran.code, "there is no adapter store in" in ran.err) == (2, True)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_is_one_sentence(ledger: Ledger, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="the backup could not be written"):
        backup(ledger, tmp_path / "file" / "b.tar")


def test_what_restore_would_refuse_is_not_backed_up(ledger: Ledger, tmp_path: Path) -> None:
    ledger.record(revision("r1"), "p1", "f1")
    ledger.database.connection.execute("UPDATE revisions SET state = 'quarantined'")
    with pytest.raises(StoreError, match="r1 is quarantined, but was made active, and a backup could not be restored"):
        backup(ledger, tmp_path / "b.tar")
    assert list(tmp_path.glob("*.tar")) == []


def test_only_a_home_that_cannot_be_written_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").write_bytes(b"garbage" * 1000)
    with pytest.raises(StoreError, match=r"holds no ledger.*seal restore") as error:
        Ledger(tmp_path)
    assert "SEAL_HOME" not in str(error.value)
    with pytest.raises(StoreError, match="set SEAL_HOME"):
        Ledger(tmp_path / "ledger.sqlite" / "below")


def test_adapters_in_quarantine_alone_are_listed_and_counted(
    seal: Call, model: SelfAdaptingModel, tiny_base: BaseModel, tmp_path: Path
) -> None:
    write_peft(random_adapter(tiny_base, 7), "x", "somebody's", tmp_path / "theirs")
    model.import_adapter(tmp_path / "theirs", adapter="guest")
    assert seal("adapters", "--home", model.home).out.split() == ["guest", "base"]
    seal("backup", tmp_path / "b.tar", "--home", model.home)
    assert "restored 1 adapter into" in seal("restore", tmp_path / "b.tar", "--home", tmp_path / "new").out


# ---------------------------------------------------------------- whose limits


def test_limits_that_are_cleared_hide_no_others(seal: Call, model: SelfAdaptingModel) -> None:
    home = ("--home", model.home)
    seal("budget", "--adaptations", 0, *home)
    seal("budget", "--adapter", "bob", "--adaptations", 5, *home)
    budget.check(model.ledger, "bob")
    seal("budget", "--adapter", "bob", "--clear", *home)
    with pytest.raises(BudgetError):
        budget.check(model.ledger, "bob")


def test_an_adapter_called_store_is_an_adapter(seal: Call, model: SelfAdaptingModel) -> None:
    home = ("--home", model.home)
    seal("budget", "--store", "--adaptations", 1, *home)
    seal("budget", "--adapter", "store", "--adaptations", 0, *home)
    budget.check(model.ledger, "alice")
    with pytest.raises(BudgetError, match="adapter 'store'"):
        budget.check(model.ledger, "store")
    wrong = seal("budget", "--adapter", "bad name!", "--adaptations", 0, *home)
    assert (wrong.code, "cannot name an adapter" in wrong.err) == (2, True)


def test_limits_of_the_whole_store_are_kept_from_before(tmp_path: Path) -> None:
    old = Ledger(tmp_path)
    with old.database.write() as db:
        db.execute("INSERT INTO limits VALUES ('store', ?)", ('{"adaptations": 0}',))
        db.execute("PRAGMA user_version = 2")
    old.database.close()
    ledger = Ledger(tmp_path)
    assert budget.limits_of(ledger, budget.STORE) == Limits(adaptations=0)
    assert budget.limits_of(ledger, "store") == Limits()


# ---------------------------------------------------------------- whose a forgotten revision is


def test_a_handle_learns_nothing_of_what_another_namespace_forgot(model: SelfAdaptingModel) -> None:
    alice, bob = model.in_namespace(("acme", "alice")), model.in_namespace(("acme", "bob"))
    gone, kept = adapt(alice, TEXTS[0]), adapt(alice, TEXTS[1])
    alice.forget(gone.id)
    for use in (bob.forget, bob.ledger.get, bob.weights_of, lambda id_: bob.diff("base", id_)):
        for id_ in (gone.id, kept.id):
            with pytest.raises(AdapterError, match=f"^there is no revision '{id_}'; `seal history` lists them$"):
                use(id_)
    with pytest.raises(AdapterError, match="which learnt the rest again"):
        alice.forget(kept.id)
    assert not hasattr(bob.trajectories(), "ledger")
