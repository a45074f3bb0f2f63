"""The reward that trains nothing: a judge's four numbers, in whatever form, and never a zero for a failure."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from fakes import ScriptedEngine
from judge_server import Behaviour, Server, reply, send
from outer_loop_fakes import CONFIG, domain, worker

from seal_agent.base_model.model import BaseModel
from seal_agent.errors import InputError
from seal_agent.grading.endpoint import JudgeEndpoint
from seal_agent.outer_loop.archive.run import Run
from seal_agent.outer_loop.domains.knowledge import Passage
from seal_agent.outer_loop.executors.executor import InlineExecutor
from seal_agent.outer_loop.rest_em import rest_em
from seal_agent.outer_loop.rewards.reward import RewardInput
from seal_agent.outer_loop.rewards.rubric import CRITERIA, EndpointRater, Rating, RubricReward
from seal_agent.outer_loop.rounds import RoundResult
from seal_agent.outer_loop.units import Case, Trial
from seal_agent.types import Outcome, SelfEdit

PASSAGE = "Dr. Ottoline Brusk lost forty keys near Pier Tibbs in 1907."
LINES = "length: 4\ndiversity: 3\nquality: 5\ncorrectness: 2"
VALUE = (3 + 2 + 4 + 1) / 16


def judged(notes: str = "Brusk lost keys.") -> RewardInput:
    case = Case(Passage("Quarnholt", (PASSAGE,)), "Quarnholt", ())
    return RewardInput(case, Trial(SelfEdit("rewrite", completion=notes), 0))


def value(outcome: Outcome) -> float:
    assert outcome.reward, outcome.reason
    assert outcome.reward.baseline == 0.0
    return outcome.reward.adapted


@contextmanager
def reward(behave: Behaviour, **options: Any) -> Iterator[tuple[RubricReward, Server]]:
    options = {"api_key_env": "NO_KEY", "retries": 2, "pause": 0.01, "timeout": 5, **options}
    with Server(behave) as server:
        yield RubricReward(EndpointRater(JudgeEndpoint("a-judge", server.url, **options))), server


# ---------------------------------------------------------------- a local model


def test_a_local_model_is_asked_what_number_it_expects() -> None:
    def likelihood(prompt: str, line: str) -> float:
        assert PASSAGE in prompt
        name, digit = line.split(": ")
        if name != "length" and "Brusk lost keys." in prompt:
            return 0.0 if digit == "5" else -1e9
        return -1.0

    reward = RubricReward.of_model(ScriptedEngine(likelihood=likelihood))
    good, bad = reward.score([judged(), judged("Nobody knows.")])
    assert value(good) == pytest.approx((0.5 + 1 + 1 + 1) / 4), "undecided about length, sure of the rest"
    assert value(bad) == pytest.approx(0.5)
    assert (reward.name, reward.trains, reward.samples) == ("rubric", False, 0)


def test_notes_that_are_empty_or_too_long_for_the_model_fail_alone() -> None:
    class Narrow(ScriptedEngine):
        def score(self, prompts: Any, continuations: Any, adapters: Any = None) -> Any:
            if any(len(prompt[-1].content) > 5000 for prompt in prompts):
                raise InputError("the prompt is too long")
            return super().score(prompts, continuations, adapters)

    long, fine, empty = RubricReward.of_model(Narrow()).score([judged("word " * 2000), judged(), judged(" ")])
    assert value(fine) == pytest.approx(0.5)
    assert (long.failed_stage, long.reason) == ("judging", "the prompt is too long")
    assert (empty.failed_stage, empty.reason) == ("judging", "there is nothing to judge")


# ---------------------------------------------------------------- an endpoint


@pytest.mark.parametrize(
    "said",
    [
        LINES,
        json.dumps({"length": 4, "diversity": 3, "quality": 5, "correctness": 2}),
        '```json\n{"length": "4", "diversity": "3", "quality": "5", "correctness": "2"}\n```',
        '{"length": {"score": 4}, "diversity": {"score": 3}, "quality": {"score": 5}, "correctness": {"score": 2}}',
        "**Length:** 4/5\n**Diversity**: 3 / 5\n- Quality = 5.0\n| correctness | 2 |",
        "Let me think: length: 1, hmm.\n\n" + LINES + "\nThat is all.",
    ],
)
def test_numbers_are_read_in_whatever_form_they_come(said: str) -> None:
    with reward(lambda handler, _, __: reply(handler, said)) as (rubric, server):
        (outcome,) = rubric.score([judged()])
    assert value(outcome) == pytest.approx(VALUE)
    asked = server.requests[0]["messages"][0]["content"]
    assert all(text in asked for text in (PASSAGE, "Quarnholt", "Brusk lost keys.", *CRITERIA))


@pytest.mark.parametrize(
    "behave",
    [
        pytest.param(lambda h, _, __: reply(h, "They are fine notes."), id="prose"),
        pytest.param(lambda h, _, __: reply(h, "length: 4\nquality: 5\ncorrectness: 2"), id="one is missing"),
        pytest.param(lambda h, _, __: reply(h, LINES.replace("5", "6")), id="too high"),
        pytest.param(lambda h, _, __: reply(h, LINES.replace("5", "0")), id="too low"),
        pytest.param(lambda h, _, __: reply(h, LINES.replace("5", "-5")), id="negative"),
        pytest.param(lambda h, _, __: reply(h, LINES.replace("5", "5/10")), id="another scale"),
        pytest.param(lambda h, _, __: reply(h, LINES.replace("5", "45")), id="two digits"),
        pytest.param(lambda h, _, __: reply(h, None), id="no text"),
        pytest.param(lambda h, _, __: reply(h, LINES, 500), id="500"),
        pytest.param(lambda h, _, __: reply(h, LINES, 401), id="401"),
        pytest.param(lambda h, _, __: send(h, b"<html>oops</html>"), id="nonsense"),
        pytest.param(lambda h, _, __: h.connection.close(), id="cut"),
        pytest.param(lambda h, _, __: time.sleep(1), id="slow"),
    ],
)
def test_a_judgement_that_fails_is_no_zero_and_not_remembered(behave: Behaviour, tmp_path: Path) -> None:
    cache = tmp_path / "rubric.sqlite"
    with reward(behave, retries=1, timeout=0.3, cache=cache) as (rubric, _):
        (outcome,) = rubric.score([judged()])
    assert outcome.reward is None
    assert outcome.failed_stage == "judging"
    assert outcome.reason
    with reward(lambda h, _, __: reply(h, LINES), cache=cache) as (rubric, server):
        assert value(rubric.score([judged()])[0]) == pytest.approx(VALUE)
        assert len(server.requests) == 1


def test_many_are_judged_at_once_in_order_and_none_twice(tmp_path: Path) -> None:
    def behave(handler: Any, _: int, body: dict[str, Any]) -> None:
        time.sleep(0.05)
        best = "note 7" in body["messages"][0]["content"]
        reply(handler, "\n".join(f"{name}: {5 if best else 1}" for name in CRITERIA))

    notes = [judged(f"note {i}.") for i in range(12)]
    with reward(behave, concurrency=4, cache=tmp_path / "rubric.sqlite") as (rubric, server):
        outcomes = rubric.score(notes)
        assert rubric.score(notes) == outcomes
        assert len(server.requests) == 12
        assert 1 < server.busiest <= 4
    assert [i for i, one in enumerate(outcomes) if value(one) == 1.0] == [7]
    assert all(value(one) == 0.0 for i, one in enumerate(outcomes) if i != 7)


def test_an_endpoint_is_given_by_model_url_and_the_name_of_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "secret")
    with Server(lambda handler, _, __: reply(handler, LINES)) as server:
        RubricReward.of_endpoint("a-judge", server.url, api_key_env="MY_KEY").score([judged()])
    assert server.requests[0]["model"] == "a-judge"
    assert server.keys == ["Bearer secret"]
    with pytest.raises(InputError, match="http"):
        RubricReward.of_endpoint("a-judge", "localhost:80")


# ---------------------------------------------------------------- in the loop


def test_in_the_loop_the_best_of_each_context_is_kept_and_nothing_is_trained_to_judge(
    tiny_base: BaseModel, tmp_path: Path
) -> None:
    def likelihood(prompt: str, line: str) -> float:
        return -0.001 * (int(line[-1]) - len(prompt) % 5) ** 2

    config = replace(CONFIG, rounds=1)
    at_work = worker(tiny_base)
    run = Run(tmp_path, asdict(config), {})
    reward = RubricReward.of_model(ScriptedEngine(likelihood=likelihood))
    (result,) = rest_em(domain(), reward, config, worker=at_work, executor=InlineExecutor(at_work), run=run)
    assert not [kind for _, kind in run.counts() if kind == "evaluate"]
    run.close()
    for context in result.contexts:
        means = [one.mean for one in context.scored]
        assert [one.mean for one in context.winners] == [max(means)]  # type: ignore[type-var]
    assert result.next_policy


def test_a_judge_that_was_away_is_asked_again_by_the_same_command(tiny_base: BaseModel, tmp_path: Path) -> None:
    class Rater:
        away = True

        def rate(self, prompts: Sequence[str]) -> list[Rating]:
            return [Rating((), "nobody answers") if self.away else Rating((4.0, 4.0, 4.0, 4.0)) for _ in prompts]

    rater, at_work = Rater(), worker(tiny_base)

    def once() -> list[RoundResult]:
        run = Run(tmp_path, {}, {})
        try:
            return rest_em(
                domain(),
                RubricReward(rater),
                replace(CONFIG, rounds=1),
                worker=at_work,
                executor=InlineExecutor(at_work),
                run=run,
            )
        finally:
            run.close()

    assert once()[0].failed == 6
    rater.away = False
    (judged,) = once()
    assert judged.failed == 0
    assert judged.next_policy
