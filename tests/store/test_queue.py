"""Lessons that wait on disk, whose owner lives or has ended."""

from __future__ import annotations

import unicodedata
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from seal_agent.store.database import Database
from seal_agent.store.ledger import Ledger
from seal_agent.store.queue import LessonQueue, delete_text


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Ledger(tmp_path).database


def end(queue: LessonQueue) -> None:
    """What the system does when a process ends."""
    assert queue._alive is not None
    queue._alive.release()


def test_lessons_of_an_ended_owner_are_taken_over_once_and_in_order(database: Database) -> None:
    first = LessonQueue(database, "base")
    lessons = [first.add("alice", f"text {i}", f"body {i}") for i in range(3)]
    second, third = LessonQueue(database, "base"), LessonQueue(database, "base")
    assert second.take_over() == [], "its owner lives"
    end(first)
    with ThreadPoolExecutor(2) as pool:
        taken = list(pool.map(LessonQueue.take_over, (second, third)))
    assert sorted(taken, key=len) == [[], lessons]
    assert second.take_over() == third.take_over() == []


def test_attempts_are_counted_across_owners(database: Database) -> None:
    queue = LessonQueue(database, "base")
    lesson = queue.add("alice", "text", "body")
    assert queue.begin(lesson)
    end(queue)
    other = LessonQueue(database, "base")
    (again,) = other.take_over()
    assert (again.attempts, again.queued) == (1, lesson.queued)
    other.remove(again)
    assert not other.begin(again)
    assert len(other) == 0


def test_only_the_text_and_the_adapter_that_are_named_are_deleted(database: Database) -> None:
    queue = LessonQueue(database, "base")
    gone = queue.add("alice", "The  key\nis red.", "body")
    others = [queue.add("bob", "The key is red.", "body"), queue.add("alice", "The key is blue.", "body")]
    delete_text(database, "alice", "The key is red.")
    assert not queue.begin(gone)
    assert all(queue.begin(lesson) for lesson in others)


def test_a_base_model_that_changes_its_identity_keeps_its_lessons(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    queue = LessonQueue(ledger.database, "former")
    queue.add("alice", "text", "body")
    end(queue)
    ledger.adopt_base("identity", "former")
    assert len(LessonQueue(ledger.database, "identity").take_over()) == 1


def test_no_lock_file_of_an_ended_owner_is_left(database: Database, tmp_path: Path) -> None:
    for _ in range(3):
        queue = LessonQueue(database, "base")
        queue.remove(queue.add("alice", "text", "body"))
        end(queue)
    queue = LessonQueue(database, "base")
    queue.take_over()
    assert len(list((tmp_path / "learners").glob("*.lock"))) <= 1


def test_a_text_is_found_however_its_accents_are_composed(database: Database) -> None:
    queue, text = LessonQueue(database, "base"), "Café Müller is in Köln."
    for form in ("NFC", "NFD"):
        queue.add("alice", unicodedata.normalize(form, text), "body")
    delete_text(database, "alice", text)
    assert len(queue) == 0
