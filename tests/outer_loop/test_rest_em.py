"""The outer loop's parts: which self-edits are kept, what a run remembers, what a unit comes to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from fakes import ScriptedEngine
from hypothesis import given
from hypothesis import strategies as st
from outer_loop_fakes import CONFIG, domain, worker

from seal_agent.base_model.model import BaseModel
from seal_agent.config import RECIPES, OuterLoopConfig
from seal_agent.errors import InputError
from seal_agent.grading.lexical import LexicalGrader
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.outer_loop import stages
from seal_agent.outer_loop.archive.run import Run
from seal_agent.outer_loop.domains.knowledge import KnowledgeDomain, Passage
from seal_agent.outer_loop.executors.executor import InlineExecutor
from seal_agent.outer_loop.policy import load_policy
from seal_agent.outer_loop.rest_em import rest_em
from seal_agent.outer_loop.rewards.reward import QuestionReward
from seal_agent.outer_loop.rounds import RoundResult
from seal_agent.outer_loop.selection import ScoredEdit, advantage, leaked_words, mean_gain, select
from seal_agent.outer_loop.units import Case, Trial, Unit, UnitResult, Worker
from seal_agent.types import Context, Outcome, Question, Reward, SelfEdit, Verdict

PASSAGE = "Dr. Ottoline Brusk lost forty keys near Pier Tibbs in 1907."


def scored(rewards: list[float | None], rejected: str = "") -> ScoredEdit:
    outcomes = [Outcome.failed("training", "nan") if r is None else Outcome(Reward(r, 0.0)) for r in rewards]
    return ScoredEdit(SelfEdit("rewrite", completion=str(rewards)), tuple(outcomes), rejected)


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
    assert leaked_words(leak, PASSAGE, [asked]) == "near which of the town s piers did"
    assert leaked_words(SelfEdit("rewrite", completion=PASSAGE), PASSAGE, [asked]) == ""
    assert leaked_words(leak, asked.text, [asked]) == "", "what the passage says itself is no leak"


# ---------------------------------------------------------------- runs


def test_a_run_remembers_what_was_finished_and_refuses_another_config(tmp_path: Path) -> None:
    run = Run(tmp_path, {"edits": 5, "inner": {"epochs": 10}}, {"commit": "abc"})
    assert run.find("k", Outcome) is None
    run.record("k", "unit", 0, Outcome(Reward(0.5, 0.25)), seconds=2.0)
    run.record("k", "unit", 0, Outcome(Reward(1.0, 1.0)), seconds=3.0)
    digest = run.digest()
    with pytest.raises(InputError, match="another process"):
        Run(tmp_path, {}, {})
    run.close()
    with pytest.raises(InputError, match=r"inner\.epochs was 10, is 3"):
        Run(tmp_path, {"edits": 5, "inner": {"epochs": 3}}, {})
    again = Run(tmp_path, {"edits": 5, "inner": {"epochs": 10}}, {"commit": "def"})
    assert again.find("k", Outcome) == Outcome(Reward(0.5, 0.25)), "what is on file stays"
    assert (again.counts(), again.seconds(), again.digest()) == ({(0, "unit"): 1}, {(0, "unit"): 2.0}, digest)
    assert again.manifest["commit"] == "abc"
    again.close()


# ---------------------------------------------------------------- units


def test_a_unit_asks_the_base_and_every_adapter_everything(tiny_base: BaseModel, tmp_path: Path) -> None:
    def script(prompt: str, adapter: LoraAdapter | None) -> str:
        return "In 1907." if adapter and "When" in prompt else "Ottoline Brusk."

    when, who = Question("When were they lost?", ("1907",)), Question("Who lost them?", ("Ottoline Brusk",))
    guard = (Context("", "Tarawa", (Question("Where is Tarawa?", ("Kiribati",)),)),)
    trials = (Trial(None, 0), Trial(SelfEdit("rewrite", completion="Brusk lost forty keys."), 1))
    passage = Passage("Quarnholt", (PASSAGE,))
    cases = tuple(Case(passage, "Quarnholt", (when,), (who,), (who,), trials[: i + 1]) for i in range(2))
    unit = Unit("tiny", cases, RECIPES["paper"].inner_loop, guard, samples=3)
    worker = Worker(tiny_base, ScriptedEngine(script), LexicalGrader(), tmp_path / "adapters")
    result = KnowledgeDomain.evaluate(unit, worker)
    assert result.unit == unit.key
    for case, found in zip(cases, result.cases, strict=True):
        assert [a.verdict for a in found.baseline.selecting] == [Verdict.WRONG]
        assert [t.trial for t in found.tried] == list(case.trials)
        for tried in found.tried:
            assert tried.answers
            assert [len(x) for x in (tried.answers.selecting, tried.answers.reporting, tried.answers.guard)] == [1] * 3
            assert tried.answers.selecting[0].verdict is Verdict.CORRECT
            assert tried.answers.reporting[0].verdict is Verdict.CORRECT
            assert tried.answers.guard[0].verdict is Verdict.WRONG
            assert tried.answers.samples == (("Ottoline Brusk.",) * 3,)
            assert (tmp_path / "adapters" / tried.adapter).is_dir(), "adapters are kept where that is asked for"
    run = Run(tmp_path / "run", {}, {})
    run.record(unit.key, "unit", 0, result)
    assert run.find(unit.key, UnitResult) == result
    run.close()


# ---------------------------------------------------------------- the loop


def loop(folder: Path, base: BaseModel, config: OuterLoopConfig = CONFIG) -> tuple[list[RoundResult], str]:
    run = Run(folder, asdict(config), {})
    try:
        at_work = worker(base)
        results = rest_em(domain(), QuestionReward(), config, worker=at_work, executor=InlineExecutor(at_work), run=run)
        return results, run.digest()
    finally:
        run.close()


def test_the_loop_keeps_the_best_of_each_context_and_trains_the_policy_on_exactly_those(
    tiny_base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learnt: list[list[SelfEdit]] = []
    real = stages.finetune

    def watched(base: BaseModel, winners: list[SelfEdit], *rest: Any) -> Any:
        learnt.append(list(winners))
        return real(base, winners, *rest)

    monkeypatch.setattr(stages, "finetune", watched)
    results, _ = loop(tmp_path, tiny_base)
    assert [r.round for r in results] == [0, 1]
    assert results[0].policy == ""
    assert results[1].policy == results[0].next_policy != ""
    assert results[1].next_policy not in ("", results[0].next_policy)
    for result, rows in zip(results, learnt, strict=True):
        expected = []
        for context in result.contexts:
            alone = mean_gain(context.alone)
            assert alone is not None
            expected += [one.edit for one in select(context.scored, alone, 1)]
        assert rows == expected
        assert len(result.contexts) == 3
        assert all(len(c.scored) == 2 and all(len(s.outcomes) == 2 for s in c.scored) for c in result.contexts)
    assert load_policy(tmp_path).formats == ("rewrite",)
    assert (tmp_path / "policy" / str(results[1].next_policy)).is_dir()


def test_the_same_command_again_does_nothing_again(tiny_base: BaseModel, tmp_path: Path) -> None:
    results, digest = loop(tmp_path, tiny_base)
    at_work = worker(tiny_base)
    run = Run(tmp_path, asdict(CONFIG), {})
    again = rest_em(domain(), QuestionReward(), CONFIG, worker=at_work, executor=InlineExecutor(at_work), run=run)
    assert again == results
    assert run.digest() == digest
    assert at_work.engine.seeds == [], "nothing was generated again"  # type: ignore[attr-defined]
    run.close()


@dataclass
class Judge:
    """A grader that can be away."""

    is_away: bool = False

    def grade(self, question: str, golds: Sequence[str], answer: str) -> Verdict:
        return Verdict.UNGRADED if self.is_away else LexicalGrader().grade(question, golds, answer)


def judged_loop(folder: Path, base: BaseModel, judge: Judge) -> tuple[list[RoundResult], str, list[int]]:
    config, at_work = replace(CONFIG, rounds=1), replace(worker(base), grader=judge)
    run = Run(folder, {}, {})
    try:
        results = rest_em(domain(), QuestionReward(), config, worker=at_work, executor=InlineExecutor(at_work), run=run)
        return results, run.digest(), at_work.engine.seeds  # type: ignore[attr-defined]
    finally:
        run.close()


def test_the_same_command_asks_a_judge_again_that_was_away(tiny_base: BaseModel, tmp_path: Path) -> None:
    ((away,), _, _) = judged_loop(tmp_path / "away", tiny_base, Judge(is_away=True))
    assert away.failed == 3 * 2 * 2
    assert away.next_policy == ""
    ((back,), digest, seeds) = judged_loop(tmp_path / "away", tiny_base, Judge())
    assert back.failed == 0
    assert back.next_policy
    assert seeds == [], "nothing was written, trained or asked again"
    assert digest == judged_loop(tmp_path / "never-away", tiny_base, Judge())[1]
