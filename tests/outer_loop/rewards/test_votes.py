"""Rewards without labels, and the watch over a model that gives them to itself."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
from outer_loop_fakes import CONFIG, NAMES, AdapterEngine, domain, weight_of

from seal_agent.base_model.model import BaseModel
from seal_agent.errors import CollapseError
from seal_agent.grading.lexical import LexicalGrader
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.outer_loop.archive.run import Run
from seal_agent.outer_loop.collapse import CollapseWatch, diversity
from seal_agent.outer_loop.domains.knowledge import KnowledgeDomain
from seal_agent.outer_loop.executors.executor import InlineExecutor
from seal_agent.outer_loop.learn import learn, settings
from seal_agent.outer_loop.rest_em import rest_em
from seal_agent.outer_loop.rewards.reward import RewardInput
from seal_agent.outer_loop.rewards.votes import MajorityVoteReward, groups, mean_entropy
from seal_agent.outer_loop.rounds import ContextResult, RoundResult
from seal_agent.outer_loop.selection import ScoredEdit
from seal_agent.outer_loop.units import Case, CaseAnswers, Trial, TrialResult, Worker
from seal_agent.types import Outcome, Prompt, Question, Reward, SelfEdit

GRADER = LexicalGrader()
TRIAL = Trial(SelfEdit("rewrite", completion="x"), 0)


def judged(base: tuple[str, ...], adapted: tuple[str, ...]) -> RewardInput:
    case = Case("item", "title", (), own=(Question("Who?", ("Abbo",)),))
    return RewardInput(
        case, TRIAL, CaseAnswers((), samples=(base,)), TrialResult(TRIAL, CaseAnswers((), samples=(adapted,)))
    )


def test_the_reward_is_how_much_more_the_samples_agree() -> None:
    before, after = ("Abbo", "Brusk", "Cullis", "Dray"), ("Abbo", "It was Abbo.", "Abbo!", "Dray")
    (outcome,) = MajorityVoteReward(GRADER, samples=4).score([judged(before, after)])
    assert outcome.reward == Reward(adapted=0.75, baseline=0.25)
    assert sorted(groups(after, GRADER)) == [1, 3]
    assert groups(("", "", "Abbo"), GRADER) == [1, 1, 1], "saying nothing twice is no agreement"
    assert mean_entropy([("Abbo",) * 4], GRADER) == 0
    assert mean_entropy([before], GRADER) == pytest.approx(1.386, abs=1e-3)


def test_no_question_of_its_own_is_a_failure_and_no_zero() -> None:
    one = judged((), ())
    (outcome,) = MajorityVoteReward(GRADER).score([replace(one, case=replace(one.case, own=()))])
    assert (outcome.reward, outcome.failed_stage) == (None, "asking")


# ---------------------------------------------------------------- the watch


def a_round(
    number: int, gain: float, reporting: float, entropy: float = 1.0, texts: tuple[str, str] = ("one two", "three four")
) -> RoundResult:
    edits = tuple(
        ScoredEdit(
            SelfEdit("rewrite", completion=text),
            (Outcome(Reward(gain, 0.0)),),
            reporting=(Outcome(Reward(reporting, 0.0)),),
        )
        for text in texts
    )
    return RoundResult(number, "", "p", (ContextResult("t", edits),), vote_entropy=entropy)


def test_learning_raises_no_alarm() -> None:
    watch = CollapseWatch()
    for result in (a_round(0, 0.1, 0.1), a_round(1, 0.3, 0.2), a_round(2, 0.5, 0.19)):
        watch.check(result)


@pytest.mark.parametrize(
    ("second", "sign"),
    [
        (a_round(1, 0.2, 0.2, entropy=0.0), "no longer differ"),
        (a_round(1, 0.2, 0.2, texts=("the same text", "the same text")), "hardly differ"),
        (a_round(1, 0.4, 0.0), "rose by 0.300 while the gain on real questions fell by 0.100"),
    ],
)
def test_each_sign_of_collapse_stops_the_run(second: RoundResult, sign: str) -> None:
    watch = CollapseWatch()
    watch.check(a_round(0, 0.1, 0.1))
    with pytest.raises(CollapseError, match=sign):
        watch.check(second)


def test_diversity_is_the_share_of_words_that_two_self_edits_do_not_share() -> None:
    assert diversity(a_round(0, 0, 0, texts=("one two", "two three"))) == pytest.approx(2 / 3)
    assert diversity(RoundResult(0, "", "p", (ContextResult("t", ()),))) is None


class CollapsingEngine(AdapterEngine):
    """From the first policy on, the same self-edit for everything: what a model does that rewards its own agreement."""

    def _write(self, prompt: Prompt, adapter: LoraAdapter | None, seed: int) -> str:
        last = prompt if isinstance(prompt, str) else prompt[-1].content
        if "Rewrite" in last and adapter is not None:
            return "Keys are keys."
        if "Who lost keys" in last:
            return f"Keeper {random.Random(seed).choice(NAMES[: 1 + weight_of(adapter) % 3 if adapter else 6])}"
        return super()._write(prompt, adapter, seed)


def test_a_simulated_collapse_is_stopped_in_the_round_it_happens(
    tiny_base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = ((Question("Who lost keys?", ("nobody",)),),) * 2
    monkeypatch.setattr(KnowledgeDomain, "own_questions", lambda self, worker, cases, seed: own[: len(cases)])
    worker, run, seen = Worker(tiny_base, CollapsingEngine(), GRADER), Run(tmp_path, {}, {}), []
    reward = MajorityVoteReward(GRADER, samples=4)
    config = replace(CONFIG, rounds=4)
    with pytest.raises(CollapseError, match=r"stopped after round 2: its self-edits.*policy of round 1"):
        rest_em(
            domain(),
            reward,
            config,
            worker=worker,
            executor=InlineExecutor(worker),
            run=run,
            on_round=seen.append,
        )
    run.close()
    assert [result.round for result in seen] == [0, 1]
    assert seen[0].vote_entropy is not None
    assert seen[0].next_policy


@pytest.mark.parametrize("broken", [None, "write_report", "_pictures"])
def test_an_error_in_the_report_does_not_hide_the_collapse(
    tiny_base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str | None
) -> None:
    def fail(*_: object) -> None:
        raise OSError("no space left on device")

    own = ((Question("Who lost keys?", ("nobody",)),),) * 2
    monkeypatch.setattr(KnowledgeDomain, "own_questions", lambda self, worker, cases, seed: own[: len(cases)])
    if broken:
        monkeypatch.setattr(f"seal_agent.outer_loop.learn.{broken}", fail)
    worker, reward, config = (
        Worker(tiny_base, CollapsingEngine(), GRADER),
        MajorityVoteReward(GRADER, samples=4),
        CONFIG,
    )
    config = replace(config, rounds=4)
    run = Run(tmp_path, settings(tiny_base, domain(), reward, config), {})
    with pytest.raises(CollapseError, match="stopped after round 2"):
        learn(domain(), reward, config, worker=worker, executor=InlineExecutor(worker), run=run)
    run.close()
    assert (tmp_path / "report.md").is_file() == (broken is None)
