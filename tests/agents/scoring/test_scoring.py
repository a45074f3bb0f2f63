"""Scorers: whose word counts, what labels rollouts prove, what is corrupted, and how quality is measured."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from fakes import ScriptedEngine
from judge_server import Server, reply
from pydantic import TypeAdapter

from seal_agent.agents.scoring import learnt
from seal_agent.agents.scoring.judge import JudgeScorer
from seal_agent.agents.scoring.labels import Label, balanced, corrupted, hard_negatives, labels_of, picked
from seal_agent.agents.scoring.learnt import LearntScorer, train_scorer
from seal_agent.agents.scoring.quality import ScorerQuality, held_out_tasks, quality_of
from seal_agent.agents.scoring.scorer import Attempt, step_prompt
from seal_agent.agents.trajectories.rollout import Rollout
from seal_agent.agents.trajectories.trajectory import Step
from seal_agent.base_model.model import BaseModel
from seal_agent.config import PLAIN_LORA
from seal_agent.generation.hf import HFEngine
from seal_agent.outer_loop.agents.report import f1_of
from seal_agent.types import ToolCall


def call(name: str, **arguments: str) -> ToolCall:
    return ToolCall(name, json.dumps(arguments))


def rollout(task: str, *calls: ToolCall, success: bool = True) -> Rollout:
    steps = tuple(Step(f"state {number}", made) for number, made in enumerate(calls))
    return Rollout(task, f"Do {task}.", 0, steps, "end", success)


TAKE, OPEN, WAIT = call("take", key="red"), call("open", door="red"), call("wait")
GOOD = rollout("a", TAKE, OPEN)
OTHER = rollout("b", call("take", key="blue"), call("open", door="blue"))
ATTEMPT = Attempt("Do a.", GOOD.steps[:1], "state 1", OPEN)


def test_a_learnt_scorer_weighs_yes_against_no() -> None:
    engine = ScriptedEngine(likelihood=lambda prompt, said: 0.0 if (said == "yes") == ("open" in prompt) else -5.0)
    scores = LearntScorer(engine, None).score([ATTEMPT, replace(ATTEMPT, call=WAIT, steps=())])
    assert scores[0] is not None
    assert scores[0] > 0.99
    assert len(LearntScorer(engine, None).score([ATTEMPT] * 70)) == 70


def test_a_prompt_is_read_once_where_the_answers_are_single_tokens(
    tiny_base: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = HFEngine(tiny_base)
    monkeypatch.setattr(learnt, "YES", "y")
    monkeypatch.setattr(learnt, "NO", "n")
    assert [len(tiny_base.content_ids(answer)) for answer in "yn"] == [1, 1]
    attempts = [replace(ATTEMPT, goal=f"goal {number}") for number in range(5)]
    twice = LearntScorer(engine, None).score(attempts)
    rare = LearntScorer(engine, None, tiny_base).score(attempts)
    assert rare == pytest.approx(twice, abs=1e-5), "of those that are not among the likeliest tokens, each is read"
    monkeypatch.setattr(learnt, "TOP", 10**6)
    monkeypatch.setattr(HFEngine, "score", lambda *_: pytest.fail("it was read again"))
    assert LearntScorer(engine, None, tiny_base).score(attempts) == pytest.approx(twice, abs=1e-5)


def test_a_judge_says_yes_no_or_nothing() -> None:
    with Server(lambda handler, number, body: reply(handler, ["Yes.", "no", "perhaps"][number - 1])) as server:
        scorer = JudgeScorer("j", server.url, retries=0)
        scores = [scorer.score([replace(ATTEMPT, goal=f"goal {i}")])[0] for i in range(3)]
    assert scores == [1.0, 0.0, None]


def test_a_scorer_reads_the_goal_the_last_calls_and_the_beginning_of_what_is_seen() -> None:
    text = step_prompt("score-step", Attempt("Go.", tuple(GOOD.steps) * 10, "word " * 400, OPEN))
    assert text.count("take") == 6
    assert "…" in text
    assert "none" in step_prompt("score-step", Attempt("Go.", (), "", OPEN))


def test_a_step_is_good_if_any_rollout_from_it_succeeds() -> None:
    dead = rollout("a", TAKE, WAIT, WAIT, success=False)
    labels = {(label.attempt.call, len(label.attempt.steps)): label.good for label in labels_of([GOOD, dead], tries=2)}
    assert labels[TAKE, 0], "one of two rollouts through it succeeded"
    assert labels[OPEN, 1]
    assert (WAIT, 1) not in labels, "one rollout proves nothing"
    assert not labels[WAIT, 2], "a step that ended in failure is bad"


def test_a_step_is_bad_only_after_enough_tries() -> None:
    dead = rollout("a", WAIT, TAKE, OPEN, success=False)
    assert not any(label.good for label in labels_of([dead, dead], tries=2))
    assert {len(label.attempt.steps) for label in labels_of([dead, dead], tries=2)} == {0, 1, 2}
    assert {len(label.attempt.steps) for label in labels_of([dead], tries=2)} == {2}


def test_successes_are_corrupted_in_four_ways_and_never_into_a_good_step() -> None:
    labels = corrupted([GOOD, OTHER], seed=0)
    assert {label.kind for label in labels} == {"cut short", "goal swapped", "repetition", "wrong argument"}
    assert not any(label.good for label in labels)
    good = {("Do a.", (), TAKE), ("Do a.", (TAKE,), OPEN)}
    assert (
        not {(each.attempt.goal, tuple(s.call for s in each.attempt.steps), each.attempt.call) for each in labels}
        & good
    )
    assert corrupted([GOOD, OTHER], seed=0) == labels
    assert corrupted([replace(GOOD, success=False)], seed=0) == []


def test_hard_negatives_are_what_the_last_scorer_accepted() -> None:
    labels = [Label(ATTEMPT, True, "a", "success"), Label(replace(ATTEMPT, call=WAIT), False, "a", "dead end")]
    fooled = LearntScorer(ScriptedEngine(likelihood=lambda prompt, said: 0.0 if said == "yes" else -3.0), None)
    wise = LearntScorer(ScriptedEngine(likelihood=lambda prompt, said: 0.0 if said == "no" else -3.0), None)
    assert hard_negatives(labels, fooled) == {1}
    assert hard_negatives(labels, wise) == set()


def test_hard_negatives_come_first_and_kinds_in_turn() -> None:
    good = [Label(ATTEMPT, True, "a", "success")] * 2
    kinds = ["dead end"] * 6 + ["repetition"] * 6
    bad = [Label(replace(ATTEMPT, goal=str(i)), False, "a", kind) for i, kind in enumerate(kinds)]
    chosen = balanced([*good, *bad], {7}, per_good=1.5, most=100, seed=0)
    assert [label.good for label in chosen] == [True, True, False, False, False]
    assert chosen[2].attempt.goal == "5"
    assert {label.kind for label in chosen[3:]} == {"dead end", "repetition"}


def test_labels_are_left_out_alike_where_there_are_too_many() -> None:
    good = [Label(replace(ATTEMPT, goal=str(i)), True, "a", "success") for i in range(30)]
    bad = [Label(replace(ATTEMPT, goal=str(i), call=WAIT), False, "a", "dead end") for i in range(90)]
    chosen = balanced([*good, *bad], set(), per_good=2.0, most=30, seed=0)
    assert [sum(label.good for label in chosen), len(chosen)] == [10, 30]
    assert sum(label.good for label in picked([*good, *bad], set(), 120, 20, 0)) == 30


def test_quality_is_measured_on_both_kinds_of_labels() -> None:
    good, bad = Label(ATTEMPT, True, "a", "success"), Label(replace(ATTEMPT, call=WAIT), False, "a", "dead end")
    yes_to_all = LearntScorer(ScriptedEngine(likelihood=lambda prompt, said: 0.0 if said == "yes" else -3.0), None)
    quality = quality_of(yes_to_all, [good, bad, bad])
    assert quality is not None
    assert (quality.recall, round(quality.precision, 2), round(quality.f1, 2)) == (1.0, 0.33, 0.5)
    assert quality_of(yes_to_all, [good]) is None

    class Silent:
        name = "silent"

        def score(self, attempts: list[Attempt]) -> list[float | None]:
            return [None] * len(attempts)

    silent = quality_of(Silent(), [good, bad])
    assert silent is not None
    assert (silent.f1, silent.unscored) == (0.0, 2)


def labelled(tasks: int, each: int = 2, wrong: int = 0) -> list[Label]:
    """Good and bad labels of some tasks; those of the first `wrong` tasks lead a scorer by names astray."""
    return [
        Label(
            replace(ATTEMPT, goal=f"{task}.{number}", call=WAIT if good is (task < wrong) else OPEN),
            good,
            f"task {task}",
            "success" if good else "dead end",
        )
        for task in range(tasks)
        for number in range(each)
        for good in (True, False)
    ]


def test_an_f1_counts_only_on_enough_labels_of_enough_tasks_and_has_an_interval_over_them() -> None:
    by_name = LearntScorer(
        ScriptedEngine(likelihood=lambda prompt, said: 0.0 if (said == "yes") == ("open {" in prompt) else -3.0), None
    )
    one, enough, few = (quality_of(by_name, labels) for labels in (labelled(1, 20), labelled(3), labelled(5, 1)))
    assert one is not None
    assert enough is not None
    assert few is not None
    assert [quality.is_enough for quality in (one, enough, few)] == [False, True, False]
    assert (enough.f1, enough.low, enough.high, enough.tasks, enough.scarcest) == (1.0, 1.0, 1.0, 3, 6)
    mixed = quality_of(by_name, labelled(6, 2, wrong=2))
    assert mixed is not None
    assert mixed.low is not None
    assert mixed.high is not None
    assert mixed.low < mixed.f1 < mixed.high
    assert round(mixed.f1, 3) == round(8 / 12, 3)


def test_a_quality_that_an_older_version_wrote_is_read() -> None:
    written = {"precision": 1.0, "recall": 0.5, "f1": 0.67, "labels": 8, "unscored": 0}
    quality = TypeAdapter(ScorerQuality).validate_python(written)
    assert (f1_of(quality), quality.is_enough) == ("0.67", False)


def test_solved_tasks_are_on_both_sides_and_the_labels_of_a_task_on_one() -> None:
    good, bad = Label(ATTEMPT, True, "", "success"), Label(ATTEMPT, False, "", "dead end")
    for solved, held in ((0, 0), (1, 0), (2, 1), (6, 3), (8, 3), (20, 6)):
        labels = [replace(good, task=f"solved {number}") for number in range(solved)]
        labels += [replace(bad, task=f"solved {number}") for number in range(solved)]
        labels += [replace(bad, task=f"failed {number}") for number in range(100)]
        tasks = held_out_tasks(labels, 0.3, 0)
        assert sum(task.startswith("solved") for task in tasks) == held
        assert 15 < sum(task.startswith("failed") for task in tasks) < 45
        assert tasks == held_out_tasks(labels[::-1], 0.3, 0)
    assert held_out_tasks(labels, 0.0, 0) == set()


def test_a_scorer_of_the_base_model_learns_to_tell_steps_apart(tiny_base: BaseModel) -> None:
    engine = HFEngine(tiny_base)
    labels = [Label(ATTEMPT, True, "a", "success"), Label(replace(ATTEMPT, call=WAIT), False, "a", "dead end")]
    config = replace(PLAIN_LORA, targets=("all",), rank=4, alpha=8.0, epochs=30, learning_rate=1e-2, batch_size=2)
    scorer = LearntScorer(engine, train_scorer(engine, tiny_base, labels, config))
    good, bad = scorer.score([label.attempt for label in labels])
    assert good is not None
    assert bad is not None
    assert good > 0.5 > bad
