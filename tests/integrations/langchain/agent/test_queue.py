"""What is learnt in the background waits on disk: it outlives the process, and is learnt once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("langchain")

from agent_session import Session, learnt
from fakes import ScriptedEngine
from test_model import NOTES, OTHER, QUICK, TEXT, learner

from seal_agent.adaptation.gate import MinimumGain
from seal_agent.base_model.model import BaseModel
from seal_agent.errors import EngineError
from seal_agent.integrations import drafts
from seal_agent.integrations.drafts import Draft, to_json
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.model import SelfAdaptingModel
from seal_agent.store.queue import MAX_ATTEMPTS, LessonQueue
from seal_agent.types import Context

TESTS = Path(__file__).parents[3]
KILLED = """
import os, signal, sys
sys.path[:0] = sys.argv[3:]
from conftest import llama, tokenizer
from agent_session import Session
from test_model import OTHER, TEXT, learner
from fakes import ScriptedEngine
from seal_agent.adaptation.gate import MinimumGain
from seal_agent.base_model.model import BaseModel
from seal_agent.model import SelfAdaptingModel
from seal_agent.store.queue import LessonQueue
home, when = sys.argv[1:3]

def end(*_):
    os.kill(os.getpid(), signal.SIGKILL)

model = SelfAdaptingModel(BaseModel("tiny", llama(), tokenizer(chat=True), "tiny-identity"), home=home)
model.engine = ScriptedEngine(end if when == "writing" else learner)
if when != "writing":
    LessonQueue.remove = end
gate = MinimumGain(1.0) if when == "refused" else None
Session(model, background=True, gate=gate).say("Read these.", documents=[TEXT, OTHER])
"""

ENDING = """
import sys, threading, time
sys.path[:0] = sys.argv[2:]
from conftest import llama, tokenizer
from agent_session import Session
from test_model import OTHER, TEXT, learner
from fakes import ScriptedEngine
from seal_agent.base_model.model import BaseModel
from seal_agent.model import SelfAdaptingModel
writes = threading.Event()

def slowly(*call):
    if not writes.is_set():
        writes.set()
        time.sleep(1)
    return learner(*call)

base = BaseModel("tiny", llama(), tokenizer(chat=True), "tiny-identity")
model = SelfAdaptingModel(base, home=sys.argv[1], engine=ScriptedEngine(slowly))
Session(model, background=True).say("Read these.", documents=[TEXT, OTHER])
writes.wait()
"""


@pytest.fixture
def model(tiny_base: BaseModel, tmp_path: Path) -> SelfAdaptingModel:
    return SelfAdaptingModel(tiny_base, home=tmp_path / "home", engine=ScriptedEngine(learner))


def queue_of(model: SelfAdaptingModel) -> LessonQueue:
    return LessonQueue(model.ledger.database, model.base.identity)


@pytest.mark.parametrize("when", ["writing", "recorded", "refused"])
def test_a_killed_process_loses_no_lesson_and_none_is_learnt_twice(
    tiny_base: BaseModel, tmp_path: Path, when: str
) -> None:
    places = [str(TESTS), str(TESTS / "support")]
    command = [sys.executable, "-c", KILLED, str(tmp_path), when, *places]
    ran = subprocess.run(command, env=os.environ, capture_output=True, text=True, timeout=300)
    assert ran.returncode == -signal.SIGKILL, ran.stderr
    model = SelfAdaptingModel(tiny_base, home=tmp_path, engine=ScriptedEngine(learner))
    assert len(queue_of(model)) == 2, "the one that was being learnt, and the one that waited"
    assert len(learnt(model)) == (when == "recorded")
    gate = MinimumGain(1.0) if when == "refused" else None
    middleware = Session(model, background=True, gate=gate).middleware
    outcomes = middleware.wait()
    assert [outcome.error for outcome in outcomes] == ["", ""]
    assert [revision.context.text for revision in model.ledger.history("alice")] == [TEXT, OTHER]
    assert [outcome.revision for outcome in outcomes] == [one.id for one in model.ledger.history("alice")]
    assert {outcome.accepted for outcome in outcomes} == {when != "refused"}
    assert len(queue_of(model)) == 0
    assert Session(model, background=True).middleware.wait() == []


def test_a_process_that_ends_waits_for_the_running_lesson_alone(tiny_base: BaseModel, tmp_path: Path) -> None:
    places = [str(TESTS), str(TESTS / "support")]
    command = [sys.executable, "-c", ENDING, str(tmp_path), *places]
    ran = subprocess.run(command, env=os.environ, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr
    model = SelfAdaptingModel(tiny_base, home=tmp_path, engine=ScriptedEngine(learner))
    assert learnt(model) == [TEXT]
    assert len(queue_of(model)) == 1
    Session(model, background=True).middleware.wait()
    assert learnt(model) == [TEXT, OTHER]


class Slow:
    """A script that waits, while it writes, until it may go on."""

    def __init__(self) -> None:
        self.writes, self.may_go_on = threading.Event(), threading.Event()

    def __call__(self, text: str, adapter: LoraAdapter | None) -> str:
        self.writes.set()
        assert self.may_go_on.wait(60)
        return learner(text, adapter)


class Resting:
    """A script that raises an error that may pass, as long as it rests, and counts how often."""

    def __init__(self) -> None:
        self.rests, self.refused = True, 0

    def __call__(self, text: str, adapter: LoraAdapter | None) -> str:
        if self.rests:
            self.refused += 1
            raise EngineError("the engine rests")
        return learner(text, adapter)


@pytest.fixture
def resting(model: SelfAdaptingModel, monkeypatch: pytest.MonkeyPatch) -> Resting:
    monkeypatch.setattr(drafts, "FIRST_RETRY", 0.01)
    monkeypatch.setattr(drafts, "LAST_RETRY", 0.02)
    script = Resting()
    model.engine = ScriptedEngine(script)
    return script


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_after_an_error_that_may_pass_a_lesson_is_tried_again(model: SelfAdaptingModel, resting: Resting) -> None:
    middleware = (session := Session(model, background=True)).middleware
    session.say("Read this.", documents=[TEXT])
    (told,) = middleware.wait()
    assert (told.error, told.will_retry) == ("the engine rests", True)
    until(lambda: resting.refused > MAX_ATTEMPTS)
    assert middleware.wait() == [], "it is told once"
    resting.rests = False
    until(lambda: [outcome.error for outcome in middleware.wait()] == [""])
    assert learnt(model) == [TEXT]
    assert len(queue_of(model)) == 0
    assert [outcome["will_retry"] for outcome in session.say("Hello")["adaptations"]] == [True, False]


def test_what_was_to_be_tried_again_is_left_to_the_next_process(model: SelfAdaptingModel, resting: Resting) -> None:
    session = Session(model, background=True)
    session.say("Read this.", documents=[TEXT])
    until(lambda: resting.refused > MAX_ATTEMPTS)
    session.middleware.close()
    assert len(queue_of(model)) == 1
    session.say("And this.", documents=[OTHER])
    assert len(session.middleware.wait()) == 1, "nothing is begun after close"
    alive = session.middleware._queue._alive
    assert alive is not None
    alive.release()
    resting.rests = False
    assert [outcome.error for outcome in Session(model, background=True).middleware.wait()] == ["", ""]
    assert learnt(model) == [TEXT, OTHER]


def test_lessons_of_a_process_that_lives_are_left_to_it(model: SelfAdaptingModel, tiny_base: BaseModel) -> None:
    slow = Slow()
    busy = SelfAdaptingModel(tiny_base, home=model.home, engine=ScriptedEngine(slow))
    first = Session(busy, background=True)
    first.say("Read these.", documents=[TEXT, OTHER])
    assert slow.writes.wait(60)
    assert Session(model, background=True).middleware.wait() == []
    slow.may_go_on.set()
    assert len(first.middleware.wait()) == 2
    assert learnt(model) == [TEXT, OTHER]


def test_two_processes_that_are_given_the_same_text_learn_it_once(
    model: SelfAdaptingModel, tiny_base: BaseModel
) -> None:
    slow = Slow()
    busy = SelfAdaptingModel(tiny_base, home=model.home, engine=ScriptedEngine(slow))
    first, second = Session(busy, background=True), Session(model, background=True)
    first.say("Read this.", documents=[TEXT])
    assert slow.writes.wait(60)
    second.say("Read this.", documents=[TEXT])
    slow.may_go_on.set()
    outcomes = [*first.middleware.wait(), *second.middleware.wait()]
    assert len({outcome.revision for outcome in outcomes}) == 1
    assert learnt(model) == [TEXT]


def left_behind(model: SelfAdaptingModel, text: str, attempts: int = 0, adapter: str = "alice") -> None:
    """A lesson of a process that has ended, as often as `attempts` while it learnt it."""
    queue = queue_of(model)
    lesson = queue.add(adapter, text, to_json(Draft(adapter, "documents", Context(text))))
    for _ in range(attempts):
        assert queue.begin(lesson)
    assert queue._alive is not None
    queue._alive.release()


def test_what_was_queued_is_told_and_learnt_in_order_before_anything_new(model: SelfAdaptingModel) -> None:
    texts = [f"Island number {i} is green." for i in range(3)]
    for text in texts[:2]:
        left_behind(model, text)
    session = Session(model, background=True)
    session.say("Read this.", documents=[texts[2]])
    session.middleware.wait()
    assert learnt(model) == texts
    assert len(session.say("Hello")["adaptations"]) == 3


def test_a_lesson_that_ends_every_process_is_given_up(model: SelfAdaptingModel) -> None:
    left_behind(model, TEXT, attempts=MAX_ATTEMPTS)
    left_behind(model, OTHER, attempts=MAX_ATTEMPTS - 1)
    outcomes = Session(model, background=True).middleware.wait()
    assert [outcome.error for outcome in outcomes] == ["the process ended 3 times while learning it", ""]
    assert learnt(model) == [OTHER]
    assert len(queue_of(model)) == 0


def test_lessons_for_another_base_model_wait_for_it(model: SelfAdaptingModel) -> None:
    other = LessonQueue(model.ledger.database, "another base")
    other.add("alice", TEXT, to_json(Draft("alice", "documents", Context(TEXT))))
    assert other._alive is not None
    other._alive.release()
    assert Session(model, background=True).middleware.wait() == []
    assert len(LessonQueue(model.ledger.database, "another base").take_over()) == 1


def test_forgetting_a_text_takes_it_out_of_the_queue_too(model: SelfAdaptingModel) -> None:
    revision = model.adapt(TEXT, adapter="alice", self_edit=NOTES, inner_loop=QUICK, gate=None)
    left_behind(model, TEXT.replace(" ", "\n"))
    left_behind(model, OTHER)
    model.forget(revision.id)
    stored = b"".join(file.read_bytes() for file in model.home.glob("ledger.sqlite*"))
    assert b"Tarawa" not in stored
    Session(model, background=True).middleware.wait()
    assert learnt(model) == [OTHER]


def test_a_lesson_forgotten_while_it_waits_is_not_learnt(model: SelfAdaptingModel, tiny_base: BaseModel) -> None:
    slow = Slow()
    busy = SelfAdaptingModel(tiny_base, home=model.home, engine=ScriptedEngine(slow))
    session = Session(busy, background=True)
    revision = model.adapt(OTHER, adapter="alice", self_edit=NOTES, inner_loop=QUICK, gate=None)
    model.rollback("alice")
    session.say("Read these.", documents=[TEXT, OTHER])
    assert slow.writes.wait(60)
    model.forget(revision.id)
    slow.may_go_on.set()
    outcomes: Any = session.middleware.wait()
    assert [outcome.error for outcome in outcomes] == ["", "its text was forgotten before it was learnt"]
    assert learnt(model) == [TEXT]


def test_a_lesson_that_cannot_be_read_does_not_stop_the_others(model: SelfAdaptingModel) -> None:
    queue = queue_of(model)
    queue.add("alice", TEXT, "{}")
    assert queue._alive is not None
    queue._alive.release()
    left_behind(model, OTHER)
    Session(model, background=True).middleware.wait()
    assert learnt(model) == [OTHER]
    assert len(queue_of(model)) == 0
