"""The chain of changes, verify, backup and restore, budgets and namespaces."""

from __future__ import annotations

import json
import os
import sqlite3
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import caller
from conftest import random_adapter
from killed_store import NOTES, QUICK, TEXTS, adapt, answers, opened
from revisions import problems, revision

from seal_agent.adaptation import adapt as adapt_module
from seal_agent.adaptation.reviews import revoke
from seal_agent.base_model.model import BaseModel
from seal_agent.cli.options import ModelOptions
from seal_agent.config import Limits
from seal_agent.data import bundled
from seal_agent.errors import AdapterError, BudgetError, InputError, StoreError
from seal_agent.lora.peft_files import write_peft
from seal_agent.model import SelfAdaptingModel
from seal_agent.store import budget, chain
from seal_agent.store.backup import backup, restore
from seal_agent.store.entries import to_json
from seal_agent.store.ledger import Ledger
from seal_agent.store.namespaces import full_name
from seal_agent.store.verify import verify
from seal_agent.training.jobs import TrainJob

# ---------------------------------------------------------------- the chain


def test_every_change_is_a_link_and_a_sound_store_has_no_problems(model: SelfAdaptingModel) -> None:
    first, second = adapt(model, TEXTS[0]), adapt(model, TEXTS[1])
    model.rollback()
    model.revoke(second.id)
    events = [(link.event, link.revision) for link in chain.links(model.ledger.database.connection)]
    assert events == [
        ("recorded", first.id),
        ("used", first.id),
        ("recorded", second.id),
        ("used", second.id),
        ("used", first.id),
        ("revoked", second.id),
    ]
    report = verify(model.ledger)
    assert report.problems == ()
    assert (report.revisions, report.links) == (2, 6)
    model.forget(first.id)
    assert problems(model.ledger) == []
    assert verify(model.ledger).head != report.head


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (
            "UPDATE revisions SET body = replace(body, 'Tarawa', 'X') WHERE id = 'r1'",
            "revision r1 of 'a' was changed",
        ),
        ("UPDATE revisions SET state = 'active' WHERE id = 'r2'", "revision r2 is active, but was made revoked"),
        ("UPDATE revisions SET folder = 'f2' WHERE id = 'r1'", "revision r1 of 'a' was changed"),
        ("UPDATE active SET revision = 'r2'", "adapter 'a' points at r2, but was last set to r1"),
        ("DELETE FROM revisions WHERE id = 'r2'", "revision r2 has vanished without having been forgotten"),
        ("DELETE FROM chain WHERE number = 2", "the ledger was changed at entry 3"),
        ("UPDATE chain SET event = 'active' WHERE event = 'revoked'", "the ledger was changed at entry"),
        ("UPDATE chain SET time = '2020' WHERE number = 1", "the ledger was changed at entry 1"),
    ],
)
def test_what_was_changed_behind_its_back_is_found(ledger: Ledger, change: str, what: str) -> None:
    ledger.record(revision("r1"), "p1", "f1")
    ledger.record(revision("r2", "r1"), "p2", "f2")
    revoke(ledger, ledger.get("r2"))
    assert problems(ledger, weights=False) == []
    ledger.database.close()
    with sqlite3.connect(ledger.path) as db:
        db.execute(change)
    assert any(what in one for one in problems(ledger)), problems(ledger)


def test_a_chain_from_before_it_had_folders_is_sound(ledger: Ledger) -> None:
    ledger.record(revision("r1"), "p1", "f1")
    with ledger.database.write() as db:
        salt, body = db.execute("SELECT salt, body FROM revisions").fetchone()
        db.execute("DELETE FROM chain")
        chain.append(db, "recorded", "a", "r1", chain.digest_of(salt, body))
        chain.append(db, "used", "a", "r1")
    assert problems(ledger, weights=False) == []


OLD = """
CREATE TABLE revisions (id TEXT PRIMARY KEY, adapter TEXT NOT NULL, parent TEXT, proposal TEXT NOT NULL,
    folder TEXT NOT NULL, created TEXT NOT NULL, body TEXT NOT NULL);
CREATE TABLE active (adapter TEXT PRIMARY KEY, revision TEXT REFERENCES revisions (id));
"""
NEWER = ("state", "checks", "share", "earlier", "guard")


def test_a_ledger_from_before_the_chain_opens_with_all_its_revisions(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "ledger.sqlite") as db:
        db.executescript(OLD)
        for old in (revision("r1"), revision("r2", "r1"), revision("no", "r2", accepted=False)):
            body = {name: value for name, value in json.loads(to_json(old)).items() if name not in NEWER}
            del body["context"]["trust"]
            row = (old.id, "a", old.parent, "p", "f", old.created, json.dumps(body))
            db.execute("INSERT INTO revisions VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        db.execute("INSERT INTO active VALUES ('a', 'r2')")
    ledger = Ledger(tmp_path)
    assert {one.id: one.status for one in ledger.history("a")} == {"r1": "active", "r2": "active", "no": "rejected"}
    assert ledger.active("a") == "r2"
    assert problems(ledger, weights=False) == []
    ledger.record(revision("r3", "r2"), "p3", "f3")
    assert [one.id for one in Ledger(tmp_path).lineage("a")] == ["r3", "r2", "r1"]


def test_a_ledger_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    Ledger(tmp_path).database.close()
    with sqlite3.connect(tmp_path / "ledger.sqlite") as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="newer seal-agent"):
        Ledger(tmp_path)


def test_a_deleted_adapter_leaves_ids_and_dates_and_no_word(model: SelfAdaptingModel) -> None:
    secret = adapt(model, "Zyxquort is the capital of the moon.")
    model.delete_adapter("default")
    assert model.adapters() == {}
    assert model.history() == []
    assert [one.id for one in model.forgotten()] == [secret.id]
    assert list((model.home / "adapters").iterdir()) == []
    assert not [path for path in model.home.rglob("*") if path.is_file() and b"Zyxquort" in path.read_bytes()]
    assert problems(model.ledger) == []


# ---------------------------------------------------------------- backup


def test_a_store_moves_to_another_machine(model: SelfAdaptingModel, tiny_base: BaseModel, tmp_path: Path) -> None:
    adapt(model, TEXTS[0])
    adapt(model, TEXTS[1])
    backup(model.ledger, tmp_path / "store.tar")
    with pytest.raises(InputError, match="exists"):
        backup(model.ledger, tmp_path / "store.tar")
    restored = restore(tmp_path / "store.tar", tmp_path / "elsewhere")
    assert verify(restored) == verify(model.ledger)
    assert answers(opened(tiny_base, tmp_path / "elsewhere")) == answers(model)
    with pytest.raises(InputError, match="holds a store already"):
        restore(tmp_path / "store.tar", tmp_path / "elsewhere")


def test_a_damaged_or_harmful_backup_restores_nothing(model: SelfAdaptingModel, tmp_path: Path) -> None:
    adapt(model, TEXTS[0])
    backup(model.ledger, tmp_path / "good.tar")
    content = bytearray((tmp_path / "good.tar").read_bytes())
    with tarfile.open(tmp_path / "good.tar") as archive:
        weights = next(member for member in archive if member.name.endswith(".safetensors"))
    content[weights.offset_data + weights.size - 5] ^= 1
    (tmp_path / "bad.tar").write_bytes(content)
    (tmp_path / "torn.tar").write_bytes(content[: len(content) // 3])
    with tarfile.open(tmp_path / "evil.tar", "w") as archive:
        archive.add(__file__, "../outside")
    (tmp_path / "noise.tar").write_bytes(os.urandom(4096))
    for name in ("bad", "torn", "evil", "noise", "missing"):
        with pytest.raises(InputError if name == "missing" else StoreError):
            restore(tmp_path / f"{name}.tar", tmp_path / "new" / "home")
        assert not (tmp_path / "new" / "home").exists()
        (tmp_path / "empty").mkdir(exist_ok=True)
        with pytest.raises((InputError, StoreError)):
            restore(tmp_path / f"{name}.tar", tmp_path / "empty")
        assert list((tmp_path / "empty").iterdir()) == []
    assert not (tmp_path / "outside").exists()


def test_a_revision_may_be_named_by_itself(model: SelfAdaptingModel) -> None:
    first, second = adapt(model, TEXTS[0]), adapt(model, TEXTS[1])
    assert model.rollback(to=first) == first
    assert model.weights_of(second)
    assert model.diff("base", first) is not None
    for use in (model.forget, model.revoke, model.promote, model.weights_of, lambda one: model.rollback(to=one)):
        with pytest.raises(InputError, match="must be a revision or its id, as `seal history` lists them"):
            use(3)
    model.forget(second)
    assert [revision.id for revision in model.history()] == [first.id]


# ---------------------------------------------------------------- budgets


def test_limits_hold_for_one_adapter_each_and_all(model: SelfAdaptingModel, tiny_base: BaseModel) -> None:
    budget.set_limits(model.ledger, budget.EACH, Limits(adaptations=1))
    adapt(model, TEXTS[0])
    with pytest.raises(BudgetError, match="adapter 'default' may take 1 adaptations an hour"):
        adapt(opened(tiny_base, model.home), TEXTS[1])
    budget.set_limits(model.ledger, "default", Limits(adaptations=3))
    adapt(model, TEXTS[1])
    budget.set_limits(model.ledger, budget.STORE, Limits(tokens=1))
    with pytest.raises(BudgetError, match="this store may take 1 tokens an hour"):
        adapt(model, TEXTS[2])
    budget.set_limits(model.ledger, budget.STORE, Limits(megabytes=0.001))
    with pytest.raises(BudgetError, match=r"0\.001 MB on disk"):
        adapt(model, TEXTS[2])
    assert adapt(model, TEXTS[1]) == model.history()[-1], "what is known already costs nothing"


def test_a_training_counts_from_its_beginning_and_one_of_a_dead_process_takes_no_seconds(ledger: Ledger) -> None:
    budget.set_limits(ledger, budget.STORE, Limits(adaptations=2, seconds=100))
    with budget.spend(ledger, ["a"]), budget.spend(ledger, ["b"]), pytest.raises(BudgetError):
        budget.check(ledger, "c")
    ledger.database.connection.execute("UPDATE runs SET started = '2020', process = 1")
    budget.check(ledger, "c")
    with ledger.database.write() as db:
        db.execute("DELETE FROM runs")
        now = revision("x").created.replace("2026-01-01T00", "2999-01-01T00")
        db.execute("INSERT INTO runs (adapter, started, process) VALUES ('a', ?, 4194303)", (now,))
    budget.check(ledger, "c")


# ---------------------------------------------------------------- namespaces


def test_a_handle_reaches_nothing_of_another_namespace(model: SelfAdaptingModel, tmp_path: Path) -> None:
    alice, bob = model.in_namespace(("acme", "alice")), model.in_namespace(("acme", "bob"))
    hers = adapt(alice, TEXTS[0])
    notes = alice.adapt(TEXTS[1], adapter="notes", inner_loop=QUICK, self_edit=NOTES, gate=None)
    assert alice.adapters() == {"default": hers.id, "notes": notes.id}
    assert bob.adapters() == {}
    assert bob.adapter("default") is None
    uses: list[Callable[[], object]] = [
        lambda: bob.history(),
        lambda: bob.forget(hers.id),
        lambda: bob.weights_of(hers.id),
        lambda: bob.promote(hers.id),
        lambda: bob.revoke(hers.id),
        lambda: bob.diff("base", hers.id),
        lambda: bob.adapter(f"default@{hers.id}"),
        lambda: bob.adapter("notes"),
        lambda: bob.export("notes", tmp_path / "out"),
        lambda: bob.delete_adapter("notes"),
        lambda: bob.commit(alice.propose(TEXTS[2], self_edit=NOTES)),
    ]
    for use in uses:
        with pytest.raises(AdapterError, match="there is no"):
            use()
    his = adapt(bob, TEXTS[0])
    assert his.id != hers.id
    with pytest.raises(AdapterError, match="there is no revision"):
        bob.rollback(to=hers.id)
    assert alice.history() == [hers]
    assert set(model.adapters()) == {"acme.alice", "acme.alice..notes", "acme.bob"}, "the whole store sees all"


def test_the_ledger_of_a_handle_shows_its_own_and_nothing_else(model: SelfAdaptingModel) -> None:
    alice, bob = model.in_namespace(("acme", "alice")), model.in_namespace(("acme", "bob"))
    hers, his, anyones = adapt(alice, TEXTS[0]), adapt(bob, TEXTS[1]), adapt(model, TEXTS[2])
    name, other = alice.full_name(), bob.full_name()
    ledger = alice.ledger
    assert ledger.adapters() == {name: hers.id}
    assert (ledger.active(name), ledger.get(hers.id), ledger.history(name)) == (hers.id, hers, [hers])
    assert ledger.lineage(name) == [hers]
    assert [ledger.exists(revision.id) for revision in (hers, his, anyones)] == [True, False, False]
    assert [ledger.is_known(adapter) for adapter in (name, other, "default")] == [True, False, False]
    uses: list[Callable[[], object]] = [
        lambda: ledger.get(his.id),
        lambda: ledger.folder(anyones.id),
        lambda: ledger.ancestors(his.id),
        lambda: ledger.active(other),
        lambda: ledger.history("default"),
        lambda: ledger.lineage(other),
        lambda: ledger.forgotten(other),
        lambda: ledger.find("default", "p"),
        lambda: ledger.check_known(other),
    ]
    changes: list[Callable[[], object]] = [
        lambda: ledger.database,
        lambda: ledger.folders(),
        lambda: ledger.activate(name, None),
        lambda: ledger.delete(other),
        lambda: ledger.claim(other, ("acme", "alice"), "stolen"),
        lambda: ledger.claimed(("acme", "bob")),
        lambda: revoke(ledger, hers),
        lambda: ledger.rollback(name, "base"),
        lambda: budget.set_limits(ledger, budget.STORE, Limits(adaptations=0)),
    ]
    for use in uses:
        with pytest.raises(AdapterError, match="there is no"):
            use()
    for change in changes:
        with pytest.raises(AdapterError, match="reads its own adapters alone"):
            change()
    assert model.ledger.adapters() == {name: hers.id, other: his.id, "default": anyones.id}, "nothing was changed"
    alice.rollback()
    assert alice.adapters() == {"default": None}


def test_names_of_different_namespaces_never_meet() -> None:
    pairs = [
        (("a", "b"), "default"),
        (("a.b",), "default"),
        (("a",), "b"),
        (("a_2eb",), "default"),
        (("a",), "default"),
        (("default",), "default"),
        (("x" * 80,), "default"),
        (("x" * 81,), "default"),
    ]
    assert len({full_name(*pair) for pair in pairs}) == len(pairs)
    with pytest.raises(InputError, match="namespace is a tuple"):
        SelfAdaptingModel.in_namespace(object.__new__(SelfAdaptingModel), ())


# ---------------------------------------------------------------- import, and the commands


def test_an_imported_adapter_waits_in_quarantine(
    model: SelfAdaptingModel, tiny_base: BaseModel, tmp_path: Path
) -> None:
    write_peft(random_adapter(tiny_base, 7), "x", "somebody's", tmp_path / "theirs")
    theirs = model.import_adapter(tmp_path / "theirs", adapter="guest", title="Guest")
    assert theirs.status == "quarantined"
    assert model.import_adapter(tmp_path / "theirs", adapter="guest").id == theirs.id
    assert model.adapter(f"guest@{theirs.id}")
    assert model.adapters() == {}
    model.promote(theirs.id)
    assert model.adapters() == {"guest": theirs.id}
    assert problems(model.ledger) == []
    small = random_adapter(tiny_base, 7)
    name, pair = next(iter(small.pairs.items()))
    write_peft(replace(small, pairs={f"{name}x": pair}), "x", "", tmp_path / "other")
    with pytest.raises(AdapterError, match="does not have; load its own base model"):
        model.import_adapter(tmp_path / "other")


def test_the_commands_of_care(
    model: SelfAdaptingModel, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    run = caller(monkeypatch, capsys, model.home)
    first, second = adapt(model, TEXTS[0]), adapt(model, TEXTS[1])
    assert run("verify", "--json").json["problems"] == []
    assert run("backup", tmp_path / "b.tar", "--json").json["bytes"] > 0
    assert run("restore", tmp_path / "b.tar", "--home", tmp_path / "new", "--json").json["adapters"] == model.adapters()
    assert run("revoke", second.id, "--json").json == {"adapter": "default", "active": first.id}
    assert run("promote", first.id).code == 1
    assert run("budget", "--adaptations", "3", "--json").json["limits"]["adaptations"] == 3
    assert "no limit" in run("budget", "--store").out
    assert run("budget", "--store", "--adapter", "x").code == 2
    assert run("delete", "default").code == 2
    assert run("delete", "default", "--yes", "--json").json == {"adapter": "default", "deleted": 2}
    with sqlite3.connect(model.ledger.path) as db:
        db.execute("UPDATE chain SET time = 'x' WHERE number = 1")
    broken = run("verify")
    assert (broken.code, "the ledger was changed at entry 1" in broken.out) == (1, True)
    for name in ("import", "promote", "revoke", "delete", "diff", "verify", "backup", "restore", "budget"):
        assert "Example:" in run(name, "--help").out
    assert run("adapt", "x.txt", "--no-gate", "--minimum-gain", "0.5").code == 2


def test_of_an_imported_adapter_no_text_is_trained_on_and_general_questions_are_asked(
    model: SelfAdaptingModel, tiny_base: BaseModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "Paris is the capital of Spain"
    theirs = random_adapter(tiny_base, 7)
    write_peft(theirs, "x", "somebody's", folder)
    imported = model.import_adapter(folder, adapter="guest")
    compared = model.diff("base", imported.id)
    assert compared.asked == len(bundled.guard_questions()) > 0
    model.promote(imported.id)
    trained, jobs = adapt_module.train_each, list[TrainJob]()

    def spy(base: BaseModel, works: list[TrainJob], report: object) -> object:
        jobs.extend(works)
        return trained(base, works, report)

    monkeypatch.setattr(adapt_module, "train_each", spy)
    layers = tuple(sorted({name.rpartition(".")[2] for name in theirs.pairs}))
    config = replace(QUICK, rank=theirs.rank, alpha=theirs.alpha, targets=layers, replay=1.0)
    model.adapt(TEXTS[0], adapter="guest", inner_loop=config, self_edit=NOTES, gate=None)
    texts = [tiny_base.tokenizer.decode(each.input_ids) for job in jobs for each in job.sequences]
    assert texts
    assert not [text for text in texts if "Spain" in text]


def test_an_import_of_what_is_there_already_says_what_became_of_it(
    model: SelfAdaptingModel,
    tiny_base: BaseModel,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    write_peft(random_adapter(tiny_base, 7), "x", "somebody's", tmp_path / "theirs")
    monkeypatch.setattr(ModelOptions, "load", lambda self, home=None: model)
    run = caller(monkeypatch, capsys, model.home)
    assert "is in quarantine" in run("import", tmp_path / "theirs").out
    (imported,) = model.history()
    model.promote(imported.id)
    assert run("import", tmp_path / "theirs").out == f"{imported.id} was imported before, and is active\n"
