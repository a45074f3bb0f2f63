"""Rewards without labels, and the watch over a model that gives them to itself."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import random_adapter
from outer_loop_fakes import CONFIG, NAMES, AdapterEngine, domain, weight_of

from seal_agent.base_model.model import BaseModel
from seal_agent.errors import CollapseError, InputError
from seal_agent.generation.hf import HFEngine
from seal_agent.grading.lexical import LexicalGrader
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.outer_loop.archive.run import Run
from seal_agent.outer_loop.collapse import CollapseWatch, alarms, diversity
from seal_agent.outer_loop.domains.knowledge import KnowledgeDomain, Passage
from seal_agent.outer_loop.executors.executor import InlineExecutor
from seal_agent.outer_loop.learn import RunResult, _parent_of_collapsed, learn, settings
from seal_agent.outer_loop.policy import divergence
from seal_agent.outer_loop.rest_em import rest_em
from seal_agent.outer_loop.rewards.reward import RewardInput
from seal_agent.outer_loop.rewards.votes import MajorityVoteReward, diversity_across, groups, mean_entropy
from seal_agent.outer_loop.rounds import ContextResult, RoundResult
from seal_agent.outer_loop.scoring import result_of_trials
from seal_agent.outer_loop.selection import ScoredEdit
from seal_agent.outer_loop.units import Case, CaseAnswers, CaseResult, Trial, TrialResult, Worker
from seal_agent.types import Message, Outcome, Prompt, Question, Reward, SelfEdit, Verdict

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


def test_a_fixed_teacher_rewards_agreement_with_the_base_model_and_not_with_itself() -> None:
    before, constant = ("Abbo", "Abbo", "Cullis", "Dray"), ("Zero",) * 4
    (itself,) = MajorityVoteReward(GRADER).score([judged(before, constant)])
    (fixed,) = MajorityVoteReward(GRADER, teacher="base").score([judged(before, constant)])
    assert itself.reward == Reward(adapted=1.0, baseline=0.5), "a constant answer agrees with itself"
    assert fixed.reward == Reward(adapted=0.0, baseline=0.5)
    (agreeing,) = MajorityVoteReward(GRADER, teacher="base").score([judged(before, ("It was Abbo.",) * 3 + ("Dray",))])
    assert agreeing.reward == Reward(adapted=0.75, baseline=0.5)


def test_a_curriculum_counts_the_questions_on_which_the_base_model_agrees_most() -> None:
    sure, unsure = ("Abbo",) * 4, ("Abbo", "Brusk", "Cullis", "Dray")
    case = Case("item", "title", (), own=(Question("Who?", ()), Question("Where?", ())))
    entry = RewardInput(
        case,
        TRIAL,
        CaseAnswers((), samples=(unsure, sure)),
        TrialResult(TRIAL, CaseAnswers((), samples=(sure, ("Abbo", "Abbo", "Abbo", "Dray")))),
    )
    (half,) = MajorityVoteReward(GRADER, curriculum=0.5).score([entry])
    assert half.reward == Reward(adapted=0.75, baseline=1.0), "the second question alone"
    (both,) = MajorityVoteReward(GRADER).score([entry])
    assert both.reward == Reward(adapted=0.875, baseline=0.625)


@pytest.mark.parametrize(("options", "words"), [({"teacher": "god"}, "itself or base"), ({"curriculum": 0.0}, "share")])
def test_options_that_mean_nothing_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        MajorityVoteReward(GRADER, **options)


def test_one_answer_to_all_questions_shows_in_the_diversity_across_them() -> None:
    names = [(name,) * 3 for name in NAMES[:5]]
    assert diversity_across(names, 5, GRADER) == pytest.approx(0.8)
    assert diversity_across([("Zero", "Zero", name) for name, *_ in names], 5, GRADER) == 0
    assert diversity_across(names[:3], 3, GRADER) is None, "too few questions"


class Counting(LexicalGrader):
    """Counts what it is asked."""

    asked = 0

    def grade(self, question: str, golds: Sequence[str], answer: str) -> Verdict:
        self.asked += 1
        return super().grade(question, golds, answer)


def test_the_diversity_across_questions_asks_no_more_than_once_for_an_answer() -> None:
    grader, words = Counting(), ("Abbo", "It was Abbo.", "abbo!", *(f"Keeper {number}" for number in range(2, 59)), "")
    assert diversity_across([(word,) for word in ("Abbo", *words)], 60, grader) == pytest.approx(1 - 4 / 62)
    assert grader.asked <= 62
    assert diversity_across([("",)] * 5, 5, grader) == 0.8, "saying nothing everywhere is no agreement"


def test_a_self_edit_and_its_floor_are_measured_against_the_same_samples() -> None:
    agreeing, split, own = ("Abbo",) * 4, ("Abbo", "Abbo", "Brusk", "Cullis"), (Question("Who?", ()),)
    edit = SelfEdit("rewrite", completion="x")

    def result(base: tuple[str, ...], trial: Trial) -> CaseResult:
        return CaseResult(CaseAnswers((), samples=(base,)), (TrialResult(trial, CaseAnswers((), samples=(agreeing,))),))

    scored = result_of_trials(
        domain(),
        MajorityVoteReward(samples=4),
        Case(Passage("t", ("Abbo.",)), "t", (), own=own),
        [edit],
        seeds=1,
        trained=result(agreeing, Trial(edit, 0)),
        alone=result(split, Trial(None, 0)),
    )
    assert scored.scored[0].outcomes == scored.alone == (Outcome(Reward(1.0, 0.5)),)


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


def test_one_answer_everywhere_stops_the_run() -> None:
    with pytest.raises(CollapseError, match="one answer wins 90% of its own questions"):
        CollapseWatch().check(replace(a_round(0, 0.1, 0.1), answer_diversity=0.1))


@pytest.mark.parametrize(
    ("gain", "kl", "signs", "stops"),
    [
        (0.5, 0.12, ["reward of itself jumped by 0.400"], False),
        (0.2, 0.9, ["divergence from the base model jumped from 0.10 to 0.90 nats"], False),
        (0.5, 0.9, ["reward of itself jumped by 0.400 and its divergence"], True),
        (0.2, 0.2, [], False),
    ],
)
def test_reward_and_divergence_that_jump_together_stop_the_run_and_one_alone_is_an_alarm(
    gain: float, kl: float, signs: list[str], stops: bool
) -> None:
    rounds = [replace(a_round(0, 0.1, 0.1), policy_kl=0.1), replace(a_round(1, gain, 0.1), policy_kl=kl)]
    raised = alarms(rounds)
    assert [alarm.stops for alarm in raised] == [stops] * len(signs)
    for alarm, sign in zip(raised, signs, strict=True):
        assert sign in alarm.sign


def test_the_first_policy_is_no_jump_of_the_divergence() -> None:
    assert not alarms([replace(a_round(0, 0.1, 0.1), policy_kl=0.0), replace(a_round(1, 0.2, 0.1), policy_kl=0.9)])


def test_the_divergence_is_the_policys_log_probabilities_less_the_base_models(tiny_base: BaseModel) -> None:
    edits = [SelfEdit("rewrite", "Rewrite this.", "Keys are keys."), SelfEdit("passage")]
    engine = HFEngine(tiny_base)
    policy = random_adapter(tiny_base, 1)
    prompt, text = (Message("user", "Rewrite this."),), "Keys are keys."
    own, base = engine.score([prompt, prompt], [text, text], [policy, None])
    expected = sum(own) / len(own) - sum(base) / len(base)
    assert divergence(engine, policy, edits) == pytest.approx(expected, abs=1e-4)
    assert divergence(engine, None, edits) == 0
    assert divergence(engine, policy, [SelfEdit("passage")]) is None


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
    assert seen[1].next_policy is None, "nothing is finetuned on what a collapsed policy wrote"
    assert len(list((tmp_path / "policy").glob("*/adapter_config.json"))) == 1
    assert seen[0].vote_entropy is not None
    assert seen[0].next_policy


class NoPairs(LexicalGrader):
    """A grader that is asked about questions only, never whether two answers of a vote are equal."""

    def grade(self, question: str, golds: Sequence[str], answer: str) -> Verdict:
        assert question
        return super().grade(question, golds, answer)


def not_again(prompt: str, continuation: str) -> float:
    raise AssertionError("the divergence of a finished round is on file")


def test_an_early_stop_ends_the_run_well_with_the_policy_before_the_collapse(
    tiny_base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = ((Question("Who lost keys?", ("nobody",)),),) * 2
    monkeypatch.setattr(KnowledgeDomain, "own_questions", lambda self, worker, cases, seed: own[: len(cases)])
    reward, config = MajorityVoteReward(samples=4), replace(CONFIG, rounds=4, early_stop=True)

    def learnt(engine: CollapsingEngine) -> RunResult:
        worker = Worker(tiny_base, engine, NoPairs())
        run = Run(tmp_path, settings(tiny_base, domain(), reward, config), {})
        try:
            return learn(domain(), reward, config, worker=worker, executor=InlineExecutor(worker), run=run)
        finally:
            run.close()

    result = learnt(CollapsingEngine())
    assert learnt(CollapsingEngine(likelihood=not_again)) == result, "figures of finished rounds stay what they were"
    assert result.stopped.startswith("its self-edits of one context hardly differ")
    assert len(result.results) == 2
    assert result.policy is None, "the base model wrote the round before"
    assert not (tmp_path / "policy" / "last").exists()
    text = result.markdown.read_text(encoding="utf-8")
    assert "## Signs of collapse" in text
    assert "stop: its self-edits of one context hardly differ" in text


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
    assert not (tmp_path / "policy" / "last").exists(), "the folder does not stand for the policy that collapsed"


def test_after_a_collapse_an_archives_run_stands_for_the_parent_and_not_for_the_round_before() -> None:
    """The second round began again from the base model, and the third from the first round's policy."""
    rounds = [a_round(0, 0.1, 0.1), a_round(1, 0.1, 0.1), a_round(2, 0.1, 0.1)]
    names = [("", "a"), ("", "b"), ("a", "c")]
    results = [replace(r, policy=p, next_policy=n) for r, (p, n) in zip(rounds, names, strict=True)]
    collapsed = replace(a_round(3, 0.1, 0.1), policy="b", next_policy=None)
    assert _parent_of_collapsed([*results, collapsed]) == ""
    assert _parent_of_collapsed([*results, replace(collapsed, policy="c")]) == "a"
