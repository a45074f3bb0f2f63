"""Scorers: whose word counts, what labels rollouts prove, what is corrupted, and how quality is measured."""

from __future__ import annotations

import json
from dataclasses import replace

from fakes import ScriptedEngine
from judge_server import Server, reply

from seal_agent.agents.scoring.judge import JudgeScorer
from seal_agent.agents.scoring.labels import Label, balanced, corrupted, hard_negatives, labels_of, picked
from seal_agent.agents.scoring.learnt import LearntScorer, train_scorer
from seal_agent.agents.scoring.quality import held_out_task, quality_of
from seal_agent.agents.scoring.scorer import Attempt, EnvironmentScorer, VerdictFirst, step_prompt
from seal_agent.agents.trajectories.rollout import Rollout
from seal_agent.agents.trajectories.trajectory import Step
from seal_agent.base_model.model import BaseModel
from seal_agent.config import PLAIN_LORA
from seal_agent.generation.hf import HFEngine
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


def test_the_environments_verdict_comes_before_any_other() -> None:
    engine = ScriptedEngine(likelihood=lambda prompt, said: -0.1 if said == "no" else -2.0)
    scorer = VerdictFirst(LearntScorer(engine, None))
    refused, done, lost = scorer.score([ATTEMPT, replace(ATTEMPT, verdict=True), replace(ATTEMPT, verdict=False)])
    assert (done, lost) == (1.0, 0.0)
    assert refused is not None
    assert refused < 0.2
    assert EnvironmentScorer().score([ATTEMPT]) == [None]


def test_a_learnt_scorer_weighs_yes_against_no() -> None:
    engine = ScriptedEngine(likelihood=lambda prompt, said: 0.0 if (said == "yes") == ("open" in prompt) else -5.0)
    scores = LearntScorer(engine, None).score([ATTEMPT, replace(ATTEMPT, call=WAIT, steps=())])
    assert scores[0] is not None
    assert scores[0] > 0.99
    assert len(LearntScorer(engine, None).score([ATTEMPT] * 70)) == 70


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
    silent = quality_of(EnvironmentScorer(), [good, bad])
    assert silent is not None
    assert (silent.f1, silent.unscored) == (0.0, 2)


def test_the_labels_of_a_task_are_always_on_one_side() -> None:
    tasks = [f"task {number}" for number in range(200)]
    held = [task for task in tasks if held_out_task(task, 0.3, 0)]
    assert 40 < len(held) < 80
    assert held == [task for task in tasks if held_out_task(task, 0.3, 0)]


def test_a_scorer_of_the_base_model_learns_to_tell_steps_apart(tiny_base: BaseModel) -> None:
    engine = HFEngine(tiny_base)
    labels = [Label(ATTEMPT, True, "a", "success"), Label(replace(ATTEMPT, call=WAIT), False, "a", "dead end")]
    config = replace(PLAIN_LORA, targets=("all",), rank=4, alpha=8.0, epochs=30, learning_rate=1e-2, batch_size=2)
    scorer = LearntScorer(engine, train_scorer(engine, tiny_base, labels, config))
    good, bad = scorer.score([label.attempt for label in labels])
    assert good is not None
    assert bad is not None
    assert good > 0.5 > bad
