"""The judge behind an endpoint, against a local server that misbehaves in every way."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from fakes import ScriptedEngine
from judge_server import Behaviour, Server, reply, send

from seal_agent.answering.questions import answer_questions
from seal_agent.base_model.model import BaseModel
from seal_agent.errors import InputError, JudgeWarning
from seal_agent.grading import endpoint
from seal_agent.grading.judge import JudgeGrader
from seal_agent.grading.model_judge import ModelJudge
from seal_agent.types import Context, Question, Verdict


@contextmanager
def judge(behave: Behaviour, **options: Any) -> Iterator[tuple[JudgeGrader, Server]]:
    with Server(behave) as server:
        yield JudgeGrader("a-judge", server.url, **{"retries": 3, "pause": 0.01, "timeout": 5, **options}), server


def ask(grader: JudgeGrader) -> Verdict:
    return grader.grade("Who built it?", ["Ann Lee", "A. Lee"], "It was Ann Lee.")


@pytest.mark.parametrize(
    ("content", "verdict"),
    [
        ("yes", Verdict.CORRECT),
        ("**No.** It says otherwise.", Verdict.WRONG),
        ("Noted, the answer is fine", Verdict.UNGRADED),
        ("", Verdict.UNGRADED),
        (None, Verdict.UNGRADED),
        (["yes"], Verdict.UNGRADED),
    ],
)
def test_a_reply_is_read_strictly(content: object, verdict: Verdict) -> None:
    with judge(lambda handler, _, __: reply(handler, content)) as (grader, _):
        assert ask(grader) is verdict


def test_it_sends_question_golds_answer_model_and_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "secret")
    with judge(lambda handler, _, __: reply(handler, "yes"), api_key_env="MY_KEY") as (grader, server):
        ask(grader)
    body = server.requests[0]
    assert body["model"] == "a-judge"
    assert all(t in body["messages"][0]["content"] for t in ("Who built it?", "Ann Lee", "A. Lee", "It was Ann Lee."))
    assert server.keys == ["Bearer secret"]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_it_tries_again_after_an_overload_and_says_what_came_then(status: int) -> None:
    def behave(handler: BaseHTTPRequestHandler, number: int, _: dict[str, Any]) -> None:
        reply(handler, "yes", status if number < 3 else 200, Retry_After="0")

    with judge(behave) as (grader, server):
        assert ask(grader) is Verdict.CORRECT
        assert len(server.requests) == 3
        assert (grader.usage.asked, grader.usage.failed) == (1, 0)


def test_it_waits_as_long_as_the_server_asks() -> None:
    times: list[float] = []

    def behave(handler: BaseHTTPRequestHandler, number: int, _: dict[str, Any]) -> None:
        times.append(time.monotonic())
        reply(handler, "yes", 429 if number == 1 else 200, Retry_After="1")

    with judge(behave) as (grader, _):
        assert ask(grader) is Verdict.CORRECT
    assert times[1] - times[0] >= 1


@pytest.mark.parametrize("asked", ["3600", "soon"])
def test_what_a_server_asks_without_reason_is_not_waited_for(asked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "LONGEST_PAUSE", 0.1)
    with judge(lambda h, n, _: reply(h, "yes", 429 if n == 1 else 200, Retry_After=asked)) as (grader, _):
        started = time.monotonic()
        assert ask(grader) is Verdict.CORRECT
        assert time.monotonic() - started < 5


def test_it_waits_until_the_date_that_the_server_asks_for() -> None:
    def behave(handler: BaseHTTPRequestHandler, number: int, _: dict[str, Any]) -> None:
        times.append(time.time())
        date = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
        reply(handler, "yes", 429 if number == 1 else 200, Retry_After=date)

    times: list[float] = []
    with judge(behave) as (grader, _):
        assert ask(grader) is Verdict.CORRECT
    assert times[1] - times[0] >= 0.9, "a date has whole seconds"


def test_a_failure_names_the_status_but_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "secret")
    with Server(lambda h, _, __: reply(h, "yes", 404)) as server:
        url = server.url.replace("http://", "http://user:password@")
        failure = endpoint.JudgeEndpoint("m", url, api_key_env="MY_KEY").ask("Well?", str).failure
    assert "404 Not Found" in failure
    assert "secret" not in failure
    assert "password" not in failure


def _cut(handler: BaseHTTPRequestHandler, _: int, __: dict[str, Any]) -> None:
    handler.connection.close()


def _cut_short(handler: BaseHTTPRequestHandler, _: int, __: dict[str, Any]) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"choices"')
    handler.wfile.flush()
    handler.connection.close()


def _drip(handler: BaseHTTPRequestHandler, _: int, __: dict[str, Any]) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    for _ in range(40):
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.1)


@pytest.mark.parametrize(
    "fails", [_cut, _cut_short, _drip, lambda *_: time.sleep(1)], ids=["cut", "cut short", "dripping", "slow"]
)
def test_it_tries_again_after_a_broken_reply(fails: Behaviour) -> None:
    def behave(handler: BaseHTTPRequestHandler, number: int, body: dict[str, Any]) -> None:
        fails(handler, number, body) if number == 1 else reply(handler, "yes")

    with judge(behave, timeout=0.4) as (grader, server):
        assert ask(grader) is Verdict.CORRECT
        assert len(server.requests) == 2


@pytest.mark.parametrize(
    "behave",
    [
        pytest.param(_drip, id="dripping"),
        pytest.param(lambda h, _, __: reply(h, "yes", 500), id="500"),
        pytest.param(lambda h, _, __: reply(h, "yes", 429), id="429"),
        pytest.param(lambda h, _, __: reply(h, "yes", 401), id="401"),
        pytest.param(lambda h, _, __: send(h, b"<html>oops</html>"), id="nonsense"),
        pytest.param(lambda h, _, __: send(h, b"[1, 2]"), id="other JSON"),
        pytest.param(lambda h, _, __: send(h, b'{"choices": []}'), id="no choice"),
        pytest.param(lambda h, _, __: send(h, b'{"choices": null, "usage": "much"}'), id="odd types"),
        pytest.param(_cut, id="cut connection"),
        pytest.param(_cut_short, id="cut body"),
        pytest.param(lambda h, _, __: time.sleep(1), id="slow"),
    ],
)
def test_what_fails_is_ungraded_and_not_remembered(behave: Behaviour, tmp_path: Path) -> None:
    cache = tmp_path / "judge.sqlite"
    with judge(behave, retries=1, timeout=0.3, cache=cache) as (grader, _):
        assert ask(grader) is Verdict.UNGRADED
        assert grader.usage.failed == 1
    with judge(lambda h, _, __: reply(h, "yes"), cache=cache) as (grader, server):
        assert ask(grader) is Verdict.CORRECT
        assert len(server.requests) == 1


def test_without_a_server_it_is_ungraded() -> None:
    grader = JudgeGrader("m", "http://127.0.0.1:9/v1", retries=1, pause=0.01, timeout=1)
    with pytest.warns(JudgeWarning, match="'m' gave no verdict, and such answers are not graded: the endpoint gave no"):
        assert ask(grader) is Verdict.UNGRADED


def test_a_wrong_key_is_said_once() -> None:
    with judge(lambda h, _, __: reply(h, "yes", 401)) as (grader, _), pytest.warns(JudgeWarning, match="401") as told:
        assert [ask(grader), ask(grader)] == [Verdict.UNGRADED] * 2
    assert len(told) == 1


def test_nothing_is_asked_twice_even_by_another_process(tmp_path: Path) -> None:
    with judge(lambda h, _, __: reply(h, "no"), cache=tmp_path / "sub" / "judge.sqlite") as (grader, server):
        assert [ask(grader), ask(grader)] == [Verdict.WRONG] * 2
        later = JudgeGrader("a-judge", server.url, cache=tmp_path / "sub" / "judge.sqlite")
        assert ask(later) is Verdict.WRONG
        other = JudgeGrader("another", server.url, cache=tmp_path / "sub" / "judge.sqlite")
        assert ask(other) is Verdict.WRONG
        assert len(server.requests) == 2
        assert (grader.usage.asked, grader.usage.cached) == (1, 1)


def test_a_file_that_is_no_cache_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a database, but long enough to be read as one" * 10)
    with pytest.raises(InputError, match="choose another"):
        JudgeGrader("m", cache=tmp_path / "notes.txt")
    assert (tmp_path / "notes.txt").read_text().startswith("not a database")
    with pytest.raises(InputError, match="choose another"):
        JudgeGrader("m", cache=tmp_path)


def test_a_cache_that_breaks_costs_only_another_question(tmp_path: Path) -> None:
    cache = tmp_path / "judge.sqlite"
    with judge(lambda h, _, __: reply(h, "yes"), cache=cache) as (grader, server):
        cache.write_bytes(b"broken" * 1000)
        with pytest.warns(UserWarning, match="asked again"), pytest.warns(UserWarning, match="not kept"):
            assert ask(grader) is Verdict.CORRECT
        assert len(server.requests) == 1


def test_many_are_asked_at_once_and_come_back_in_order() -> None:
    def behave(handler: BaseHTTPRequestHandler, _: int, body: dict[str, Any]) -> None:
        text = body["messages"][0]["content"]
        time.sleep(0.05)
        reply(handler, "yes" if "answer 7" in text else "no")

    items = [("Which?", ["seven"], f"answer {i}") for i in range(12)]
    with judge(behave, concurrency=4) as (grader, server):
        verdicts = grader.grade_all(items)
        assert [i for i, v in enumerate(verdicts) if v is Verdict.CORRECT] == [7]
        assert 1 < server.busiest <= 4


def test_all_answers_of_a_batch_are_judged_together(tiny_base: BaseModel) -> None:
    def behave(handler: BaseHTTPRequestHandler, _: int, body: dict[str, Any]) -> None:
        time.sleep(0.05)
        reply(handler, "no" if "Poe" in body["messages"][0]["content"] else "yes")

    questions = tuple(Question(f"Who built tower {i}?", ("Poe" if i == 5 else "Lee",)) for i in range(8))
    contexts = [Context("text", "Towers", questions[:3]), Context("text", "More towers", questions[3:])]
    with judge(behave, concurrency=4) as (grader, server):
        engine = ScriptedEngine(lambda text, adapter: " It was Lee. ")
        answered = answer_questions(engine, tiny_base, contexts, grader)
        assert server.busiest > 1
    assert [len(answers) for answers in answered] == [3, 5]
    every = [answer for answers in answered for answer in answers]
    assert [a.question for a in every if a.verdict is Verdict.WRONG] == [questions[5]]
    assert all(a.text == "It was Lee." for a in every)


def test_it_counts_tokens_time_and_cost() -> None:
    with judge(lambda h, _, __: reply(h, "yes"), prices=(2.0, 8.0)) as (grader, _):
        ask(grader)
        usage = grader.usage
    assert (usage.prompt_tokens, usage.completion_tokens) == (50, 1)
    assert usage.dollars == pytest.approx((50 * 2 + 8) / 1e6)
    assert usage.seconds > 0


def test_what_needs_no_judge_is_not_asked() -> None:
    with judge(lambda h, _, __: reply(h, "yes")) as (grader, server):
        assert grader.grade("?", ["", " "], "x") is Verdict.UNGRADED
        assert grader.grade("?", ["gold"], " ") is Verdict.WRONG
        assert not server.requests


@pytest.mark.parametrize("options", [{"base_url": "localhost:80"}, {"concurrency": 0}])
def test_unusable_settings_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        JudgeGrader("m", **options)


def test_the_model_judge_compares_yes_with_no() -> None:
    def likelihood(prompt: str, continuation: str) -> float:
        right = "Answer to check: Lee" in prompt
        return -0.1 if (continuation == "yes") is right else -2.0

    grader = ModelJudge(ScriptedEngine(likelihood=likelihood))
    items = [("Who?", ["Ann Lee"], "Lee"), ("Who?", [""], "Lee"), ("Who?", ["Ann Lee"], " "), ("Who?", ["Lee"], "Poe")]
    assert grader.grade_all(items) == [Verdict.CORRECT, Verdict.UNGRADED, Verdict.WRONG, Verdict.WRONG]
    assert ModelJudge(ScriptedEngine(likelihood=likelihood), threshold=3.0).grade(*items[0]) is Verdict.WRONG
