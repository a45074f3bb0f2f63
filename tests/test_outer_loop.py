"""The outer loop's parts: which self-edits are kept, what a run remembers, what a unit comes to."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes import ScriptedEngine
from hypothesis import given
from hypothesis import strategies as st

from seal_agent.config import RECIPES
from seal_agent.errors import InputError
from seal_agent.inner_loop.lora import LoraAdapter
from seal_agent.knowledge.grading import LexicalGrader
from seal_agent.models import BaseModel
from seal_agent.outer_loop.run import Run
from seal_agent.outer_loop.selection import Scored, advantage, leaks, select
from seal_agent.outer_loop.units import Evaluated, Trial, Unit, evaluate
from seal_agent.types import Context, Outcome, Question, Reward, SelfEdit, Verdict

PASSAGE = "Dr. Ottoline Brusk lost forty keys near Pier Tibbs in 1907."


def scored(rewards: list[float | None], rejected: str = "") -> Scored:
    outcomes = [Outcome.failed("training", "nan") if r is None else Outcome(Reward(r, 0.0)) for r in rewards]
    return Scored(SelfEdit("rewrite", completion=str(rewards)), tuple(outcomes), rejected)


# ---------------------------------------------------------------- selection

Rewards = st.lists(st.one_of(st.none(), st.integers(-4, 4).map(lambda n: n / 4)), min_size=1, max_size=3)


@given(st.lists(Rewards, max_size=6), st.integers(-4, 4).map(lambda n: n / 4), st.integers(1, 3))
def test_what_is_kept_is_best_of_n_by_mean_reward_above_both_baselines(
    rewards: list[list[float | None]], floor: float, keep: int
) -> None:
    every = [scored(of_one) for of_one in rewards]
    kept = select(every, floor, keep)
    able = [one for one in every if one.mean is not None and one.mean > 0 and one.mean > floor]
    assert len(kept) == min(keep, len(able))
    assert all(one in able for one in kept)
    assert all(k.mean >= other.mean for k in kept for other in able if other not in kept)  # type: ignore[operator]


def test_a_rejected_self_edit_is_never_kept_and_a_failed_seed_is_no_zero() -> None:
    best, lucky = scored([1.0], rejected="repeats a question"), scored([0.5, None, None])
    assert lucky.mean == 0.5
    assert select([best, lucky], 0.0, 2) == [lucky]
    assert select([scored([None])], -1.0, 1) == []


def test_the_advantage_is_that_of_the_kept_over_the_mean_of_their_context() -> None:
    every = {"a": [scored([0.75]), scored([0.25])], "b": [scored([0.5])]}
    kept = {name: select(of_one, 0.0, 1) for name, of_one in every.items()}
    assert advantage(kept, every) == pytest.approx((0.25 + 0.0) / 2)
    assert advantage({"a": []}, every) is None


def test_a_self_edit_that_repeats_a_question_is_found_out() -> None:
    asked = Question("Near which of the town's piers did the mayor lose her forty keys?", ("Pier Tibbs",))
    leak = SelfEdit("rewrite", completion=f"Note this: {asked.text} Pier Tibbs.")
    assert leaks(leak, PASSAGE, [asked]) == "near which of the town s piers did"
    assert leaks(SelfEdit("rewrite", completion=PASSAGE), PASSAGE, [asked]) == ""
    assert leaks(leak, asked.text, [asked]) == "", "what the passage says itself is no leak"


# ---------------------------------------------------------------- runs


def test_a_run_remembers_what_was_finished_and_refuses_another_config(tmp_path: Path) -> None:
    run = Run(tmp_path, {"edits": 5, "inner": {"epochs": 10}}, {"commit": "abc"})
    assert run.find("k", Outcome) is None
    run.record("k", "unit", 0, Outcome(Reward(0.5, 0.25)))
    run.record("k", "unit", 0, Outcome(Reward(1.0, 1.0)))
    with pytest.raises(InputError, match="another process"):
        Run(tmp_path, {}, {})
    run.close()
    with pytest.raises(InputError, match=r"inner\.epochs was 10, is 3"):
        Run(tmp_path, {"edits": 5, "inner": {"epochs": 3}}, {})
    again = Run(tmp_path, {"edits": 5, "inner": {"epochs": 10}}, {"commit": "def"})
    assert again.find("k", Outcome) == Outcome(Reward(0.5, 0.25)), "what is on file stays"
    assert (again.counts(), again.keys(), again.manifest["commit"]) == ({(0, "unit"): 1}, ["k"], "abc")


# ---------------------------------------------------------------- units


def test_a_unit_asks_the_base_and_every_adapter_everything(tiny_base: BaseModel, tmp_path: Path) -> None:
    def script(prompt: str, adapter: LoraAdapter | None) -> str:
        return "In 1907." if adapter and "When" in prompt else "Ottoline Brusk."

    when, who = Question("When were they lost?", ("1907",)), Question("Who lost them?", ("Ottoline Brusk",))
    guard = (Context("", "Tarawa", (Question("Where is Tarawa?", ("Kiribati",)),)),)
    trials = (Trial(None, 0), Trial(SelfEdit("rewrite", completion="Brusk lost forty keys."), 1))
    inner_loop = RECIPES["paper"].inner_loop
    unit = Unit("tiny", "Quarnholt", (PASSAGE,), trials, inner_loop, (when,), (who,), guard)
    result = evaluate(unit, ScriptedEngine(script), tiny_base, LexicalGrader())
    assert result.unit == unit.key
    assert [a.verdict for a in result.baseline.selecting] == [Verdict.WRONG]
    assert [t.trial for t in result.tried] == list(trials)
    for tried in result.tried:
        assert tried.answers
        assert [len(x) for x in (tried.answers.selecting, tried.answers.reporting, tried.answers.guard)] == [1, 1, 1]
        assert tried.answers.selecting[0].verdict is Verdict.CORRECT
        assert tried.answers.reporting[0].verdict is Verdict.CORRECT
        assert tried.answers.guard[0].verdict is Verdict.WRONG
    run = Run(tmp_path, {}, {})
    run.record(unit.key, "unit", 0, result)
    assert run.find(unit.key, Evaluated) == result
