"""Failures at every step: a full disk, Ctrl-C, a store that many use at once. Nothing is lost or mixed."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import random_adapter
from fakes import ScriptedEngine
from killed_store import NEW, NOTES, QUICK, TEXTS, adapt, answers, opened, operations

from seal_agent import durable
from seal_agent.base_model.model import BaseModel
from seal_agent.errors import AdapterError, SealError, StoreError
from seal_agent.lora.peft_files import WEIGHTS, write_peft
from seal_agent.model import SelfAdaptingModel
from seal_agent.store.files import PROVENANCE
from seal_agent.store.ledger import Ledger
from seal_agent.store.verify import verify

TESTS = Path(__file__).parents[1]


@pytest.fixture
def stored(tiny_base: BaseModel, tmp_path: Path) -> Path:
    """A home with two lessons, to be copied."""
    model = opened(tiny_base, tmp_path / "stored")
    for text in TEXTS[:2]:
        adapt(model, text)
    model.ledger.database.close()
    return tmp_path / "stored"


def failing_at(step: int, what: str, counted: list[str]) -> Callable[[str], None]:
    """A hook that fills the disk, as files and SQLite tell it, or presses Ctrl-C at a step."""

    def hook(name: str) -> None:
        counted.append(name)
        if len(counted) != step:
            return
        if what == "interrupt":
            raise KeyboardInterrupt
        if name.startswith("sql"):
            raise sqlite3.OperationalError("database or disk is full")
        raise OSError(errno.ENOSPC, "No space left on device")

    return hook


@pytest.mark.parametrize("operation", ["adapt", "rollback", "forget", "import"])
@pytest.mark.parametrize("what", ["full", "interrupt"])
def test_a_full_disk_and_ctrl_c_at_any_step_leave_the_store_as_it_was_or_as_it_will_be(
    stored: Path, tiny_base: BaseModel, tmp_path: Path, operation: str, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign = tmp_path / "foreign"
    write_peft(random_adapter(tiny_base, 1), "tiny", tiny_base.identity, foreign)
    expected = SealError if what == "full" else KeyboardInterrupt
    run, step, done = operations(foreign)[operation], 0, False
    before = answers(opened(tiny_base, stored))
    while not done and step < 200:
        step += 3  # every third step: the test of kills takes every one
        home, counted = tmp_path / "home", list[str]()
        shutil.copytree(stored, home)
        model = opened(tiny_base, home)
        monkeypatch.setattr(durable, "hook", failing_at(step, what, counted))
        try:
            run(model)
            done = len(counted) < step
        except expected:
            pass
        monkeypatch.setattr(durable, "hook", None)
        after = opened(tiny_base, home)
        assert verify(after.ledger).problems == ()
        state = answers(after)
        run(after)
        assert state in (before, answers(after)), f"{counted[-1]} left something else"
        model.ledger.database.close()
        after.ledger.database.close()
        shutil.rmtree(home)
    assert done
    assert step > 3


def test_a_file_that_changed_or_does_not_belong_is_found_at_load(stored: Path, tiny_base: BaseModel) -> None:
    model = opened(tiny_base, stored)
    folder = stored / "adapters" / model.ledger.folder(model.ledger.active("default") or "")
    (folder / "extra.txt").write_text("x")
    with pytest.raises(AdapterError, match=r"extra\.txt does not belong there"):
        model.adapter("default")
    (folder / "extra.txt").unlink()
    (folder / PROVENANCE).write_text("{}")
    with pytest.raises(AdapterError, match=r"provenance\.json changed on disk"):
        model.adapter("default")
    (folder / PROVENANCE).unlink()
    assert model.adapter("default"), "folders from before there was any"
    content = bytearray((folder / WEIGHTS).read_bytes())
    content[-3] ^= 4
    (folder / WEIGHTS).write_bytes(content)
    model._loaded.clear()
    with pytest.raises(AdapterError, match="its content changed on disk"):
        model.adapter("default")
    assert "are damaged: its content changed" in verify(model.ledger).problems[0].what


def test_a_damaged_folder_makes_room_for_the_same_adapter_learned_again(stored: Path, tiny_base: BaseModel) -> None:
    model = opened(tiny_base, stored)
    newest = adapt(model, NEW)
    folder = stored / "adapters" / model.ledger.folder(newest.id)
    (folder / WEIGHTS).write_bytes(b"")
    model.rollback()
    again = opened(tiny_base, stored)
    assert verify(again.ledger).problems
    assert adapt(again, NEW).id == newest.id, "the same parent, text and settings"
    again._loaded.clear()
    assert again.adapter("default")
    assert verify(again.ledger).problems == ()


def test_orphans_are_collected_at_start_and_modes_follow_the_umask(stored: Path, tiny_base: BaseModel) -> None:
    for name in (".draft-killed", "f" * 64):
        (stored / "adapters" / name).mkdir()
    old = os.umask(0o027)
    try:
        model = opened(tiny_base, stored)
        adapt(model, NEW)
    finally:
        os.umask(old)
    names = {path.name for path in (stored / "adapters").iterdir()}
    assert names == model.ledger.folders()
    folder = stored / "adapters" / model.ledger.folder(model.ledger.active("default") or "")
    assert folder.stat().st_mode & 0o777 == 0o750
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o640}


def test_a_rollback_does_not_wait_for_a_training_and_wins(tiny_base: BaseModel, tmp_path: Path) -> None:
    model = opened(tiny_base, tmp_path)
    first = adapt(model, TEXTS[0])
    training, go_on = threading.Event(), threading.Event()

    def progress(stage: str, done: int, total: int) -> None:
        if stage == "train" and not training.is_set():
            training.set()
            assert go_on.wait(60)

    learned = []
    thread = threading.Thread(
        target=lambda: learned.append(
            model.adapt(TEXTS[1], inner_loop=QUICK, self_edit=NOTES, gate=None, progress=progress)
        )
    )
    thread.start()
    assert training.wait(60)
    started = time.perf_counter()
    assert model.rollback() is None
    assert time.perf_counter() - started < 5
    go_on.set()
    thread.join(60)
    assert model.adapters() == {"default": None}, "the rollback stands"
    assert "not in use, since the adapter went to the base model meanwhile" in learned[0].reason
    assert learned[0].parent == first.id
    assert verify(model.ledger).problems == ()


def test_a_store_that_others_hold_is_a_sentence(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    with ledger.only_writer_of_folders(), pytest.raises(StoreError, match="is held by another program"):  # noqa: SIM117
        with Ledger(tmp_path).only_writer_of_folders(wait=False):
            pass
    ledger.database.connection.execute("PRAGMA busy_timeout = 20")
    other = Ledger(tmp_path).database.connection
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="in use by other programs"):
        ledger.activate("a", None)
    other.execute("ROLLBACK")
    ledger.activate("a", None)


DEAD = """
import os, pathlib, sys
from seal_agent.store.ledger import Ledger
ledger = Ledger(pathlib.Path(sys.argv[1]))
with ledger.only_writer_of("default"), ledger.only_writer_of_folders():
    os._exit(9)
"""


def test_locks_of_a_dead_process_hold_nobody_up(stored: Path, tiny_base: BaseModel) -> None:
    assert subprocess.run([sys.executable, "-c", DEAD, str(stored)], check=False).returncode == 9
    assert adapt(opened(tiny_base, stored), NEW).accepted


def test_a_home_without_room_to_write_is_a_sentence(
    tiny_base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, *_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(StoreError, match="set SEAL_HOME to a writable folder"):
        SelfAdaptingModel(tiny_base, home=tmp_path / "home", engine=ScriptedEngine({"": TEXTS[0]}))


@pytest.mark.alone
def test_three_processes_of_eight_threads_lose_and_mix_nothing(stored: Path, tiny_base: BaseModel) -> None:
    script = TESTS / "support" / "busy_store.py"
    paths = [str(TESTS.parent), str(TESTS), str(TESTS / "support"), os.environ.get("PYTHONPATH", "")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "SEAL_CACHE": str(stored.parent / "cache")}
    command = [sys.executable, str(script), str(stored)]
    running = [
        subprocess.Popen([*command, str(number)], env=env, stdout=subprocess.PIPE, text=True) for number in range(3)
    ]
    told = [process.communicate(timeout=500)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0, 0], told
    model = opened(tiny_base, stored)
    assert verify(model.ledger).problems == ()
    for name in model.adapters():
        for revision in model.history(name):
            assert model.weights_of(revision.id)
            assert revision.adapter == name
