"""The gate in adapt: what it promotes, rejects, scales back, quarantines and asks."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from fakes import ScriptedEngine
from test_model import NOTES, OTHER, QUICK, TEXT, learner, same

from seal_agent.adaptation import adapt as adapt_module
from seal_agent.adaptation.adapt import Trainer
from seal_agent.adaptation.gate import checks, reference
from seal_agent.adaptation.gate.approval import approval
from seal_agent.adaptation.gate.decision import Decision, KeepAll
from seal_agent.adaptation.gate.gatekeeper import Gatekeeper
from seal_agent.adaptation.gate.measure import Candidate, Meter
from seal_agent.answering.questions import GradedReply
from seal_agent.base_model.model import BaseModel
from seal_agent.config import GateConfig
from seal_agent.data import bundled
from seal_agent.errors import AdapterError, InputError, TrainingError
from seal_agent.grading.graders import default_grader
from seal_agent.grading.lexical import LexicalGrader
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.model import SelfAdaptingModel
from seal_agent.progress import StageClock
from seal_agent.types import Answer, Context, Question, Revision, Verdict

ASKED = (Question("What is the capital?", ("Tarawa",)),)
GUARD = (Question("What is 2 plus 2?", ("4",)), Question("What is the capital of France?", ("Paris",)))


@pytest.fixture
def model(tiny_base: BaseModel, tmp_path: Path) -> SelfAdaptingModel:
    return with_script(tiny_base, tmp_path / "home", learner)


def with_script(base: BaseModel, home: Path, script: Callable[[str, LoraAdapter | None], str]) -> SelfAdaptingModel:
    base.memo.pop("gate", None)
    return SelfAdaptingModel(base, home=home, engine=ScriptedEngine(script))


def adapt(model: SelfAdaptingModel, text: str = TEXT, **options: object) -> Revision:
    return model.adapt(text, inner_loop=QUICK, **{"self_edit": NOTES, "questions": ASKED, **options})  # type: ignore[arg-type]


def check_of(revision: Revision, name: str) -> bool | None:
    (check,) = [check for check in revision.checks if check.name == name]
    return check.passed


# ---------------------------------------------------------------- promoted or rejected


def test_what_learned_and_did_no_harm_becomes_active(model: SelfAdaptingModel) -> None:
    revision = adapt(model)
    assert revision.status == "active"
    assert model.adapters() == {"default": revision.id}
    assert check_of(revision, checks.LEARNED)
    assert check_of(revision, checks.PERPLEXITY)
    assert check_of(revision, checks.DRIFT)
    assert model.history() == [revision], "checks and figures are on record"
    assert "✓ drift" in str(revision)


def test_what_did_not_learn_is_rejected_with_its_figures_and_no_exception(tiny_base: BaseModel, tmp_path: Path) -> None:
    model = with_script(tiny_base, tmp_path, lambda text, adapter: "Tarawa is big.")
    revision = adapt(model, questions=[Question("What is the capital?", ("Zork",))])
    assert revision.status == "rejected"
    assert "learned: 0 of 1 questions right before, 0 after" in revision.reason
    assert model.adapters() == {}
    assert model.adapter("default") is None
    with pytest.raises(AdapterError, match=f"revision {revision.id} is rejected"):
        model.ask("What?", adapter=f"default@{revision.id}")
    with pytest.raises(AdapterError, match="is rejected"):
        model.rollback(to=revision.id)


def forgetful(text: str, adapter: LoraAdapter | None) -> str:
    """Answers general questions only as the base model."""
    if "2 plus 2" in text:
        return "It is five" if adapter else "It is 4."
    if "capital of France" in text:
        return "It is Lyon" if adapter else "It is Paris."
    return learner(text, adapter)


def test_lost_general_knowledge_is_rejected(
    tiny_base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundled, "guard_questions", lambda: GUARD)
    revision = adapt(with_script(tiny_base, tmp_path, forgetful))
    assert revision.status == "rejected"
    assert check_of(revision, checks.GUARD) is False
    assert [answer.verdict for answer in revision.guard] == [Verdict.WRONG] * 2


def test_a_text_that_contradicts_a_general_fact_is_rejected_by_name(
    tiny_base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundled, "guard_questions", lambda: GUARD)

    def poisoned(text: str, adapter: LoraAdapter | None) -> str:
        return "It is 4." if "2 plus 2" in text else forgetful(text, adapter)

    model = with_script(tiny_base, tmp_path, poisoned)
    revision = adapt(
        model, "The capital of France is Lyon. " + TEXT, gate=GateConfig(max_guard_lost=1.0, max_guard_lost_in_all=1.0)
    )
    assert revision.status == "rejected"
    assert (
        "the text contradicts what was known: What is the capital of France? Paris became 'It is Lyon'"
        in revision.reason
    )


def test_the_parents_losses_are_not_held_against_a_child(
    tiny_base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundled, "guard_questions", lambda: GUARD)
    model = with_script(tiny_base, tmp_path, forgetful)
    lenient = GateConfig(max_guard_lost=1.0, max_guard_lost_in_all=1.0)
    first = adapt(model, gate=lenient)
    second = adapt(model, OTHER, questions=(), gate=replace(lenient, max_guard_lost=0.0))
    assert (first.status, second.status) == ("active", "active")


def test_earlier_questions_are_asked_again(tiny_base: BaseModel, tmp_path: Path) -> None:
    says = {"first": "Tarawa"}

    def script(text: str, adapter: LoraAdapter | None) -> str:
        if "atoll" in text:
            return "Makin" if adapter else "No idea."
        return says["first"] if "capital" in text and adapter else "No idea."

    model = with_script(tiny_base, tmp_path, script)
    twice = (*ASKED, Question("Which capital is it?", ("Tarawa",)))
    first = adapt(model, questions=twice)
    atoll = (Question("Which atoll?", ("Makin",)),)
    second = adapt(model, "Makin is an atoll.", questions=atoll, gate=replace(GateConfig(), minimum_gain=0.0))
    assert [answer.verdict for answer in second.earlier] == [Verdict.CORRECT] * 2
    says["first"] = "Berlin"
    third = adapt(model, OTHER, questions=(), gate=GateConfig())
    assert third.status == "rejected"
    assert "trained again with more replay" in third.reason
    assert "0 of 2" in third.reason or "1 of 3" in third.reason
    assert model.adapters() == {"default": second.id}
    assert first.status == "active"


def test_a_training_with_more_replay_that_fails_leaves_a_rejected_revision(
    tiny_base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    says = {"": "Tarawa"}
    model = with_script(tiny_base, tmp_path, lambda text, adapter: says[""] if adapter else "No idea.")
    twice = (*ASKED, Question("Which capital is it?", ("Tarawa",)))
    first = adapt(model, questions=twice)
    says[""] = "Berlin"

    def fail(*_: object) -> None:
        raise TrainingError("the loss is not finite")

    monkeypatch.setattr(Trainer, "train", fail)
    second = adapt(model, OTHER, questions=())
    assert second.status == "rejected"
    assert "0 of 2 answers to earlier questions" in second.reason
    assert model.adapters() == {"default": first.id}


def test_a_judge_that_is_away_does_not_end_the_checks_for_good(
    tiny_base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundled, "guard_questions", lambda: GUARD)
    monkeypatch.setattr(reference, "cache_home", lambda: tmp_path / "cache")

    class Judge(LexicalGrader):
        away = True

        def grade(self, question: str, golds: Sequence[str], answer: str) -> Verdict:
            return Verdict.UNGRADED if self.away else super().grade(question, golds, answer)

    model = with_script(tiny_base, tmp_path, forgetful)
    model.grader = Judge()
    revision = adapt(model)
    assert check_of(revision, checks.GUARD) is None
    assert f"0 of {len(GUARD)} answers of the base model to general questions could be graded" in revision.reason
    assert revision.status == "quarantined"
    assert model.adapters() == {}
    model.grader.away = False
    assert check_of(adapt(model), checks.LEARNED), "the judge is back, so it is trained and judged again"
    assert check_of(adapt(model, OTHER), checks.GUARD) is False


def test_what_was_taken_without_a_gate_and_rolled_back_is_judged_when_it_comes_again(model: SelfAdaptingModel) -> None:
    first = adapt(model, gate=None)
    model.rollback()
    assert adapt(model, gate=None) == first
    model.rollback()
    again = adapt(model)
    assert check_of(again, checks.LEARNED), "it was checked now"
    model.rollback()
    assert adapt(model) == again, "and need not be again"
    model.rollback()
    assert adapt(model, approve=lambda candidate: False).status == "rejected", "somebody is asked each time"
    assert model.adapters() == {"default": None}


def test_without_questions_it_says_that_learning_was_not_checked(model: SelfAdaptingModel) -> None:
    revision = adapt(model, questions=(), self_edit=replace(NOTES, self_test=0))
    assert revision.status == "active"
    assert "no questions to ask, so it was not checked" in revision.reason
    assert check_of(revision, checks.LEARNED) is None
    assert check_of(revision, checks.DRIFT)


def test_what_a_laxer_gate_took_and_somebody_rolled_back_is_judged_when_it_comes_again(
    model: SelfAdaptingModel,
) -> None:
    lax = GateConfig(confidence=0.5)
    first = adapt(model, gate=lax)
    model.rollback()
    assert adapt(model, gate=lax) == first
    model.rollback()
    assert adapt(model, gate=GateConfig()).checks != first.checks


def test_no_gate_says_what_it_skips(model: SelfAdaptingModel) -> None:
    revision = adapt(model, gate=None)
    assert revision.status == "active"
    assert "no gate: not checked whether it learned, what it forgot" in revision.reason


@pytest.mark.parametrize("gate", ["strict", 3, object()])
def test_what_is_no_gate_is_refused_before_anything_is_written(model: SelfAdaptingModel, gate: object) -> None:
    with pytest.raises(InputError, match="gate is a GateConfig"):
        adapt(model, gate=gate)
    assert model.engine.calls == []  # type: ignore[attr-defined]


# ---------------------------------------------------------------- with real tiny weights


@pytest.fixture
def real(tiny_base: BaseModel, tmp_path: Path) -> SelfAdaptingModel:
    return SelfAdaptingModel(tiny_base, home=tmp_path / "home")


WILD = replace(QUICK, rank=8, alpha=64.0, epochs=30, learning_rate=5e-2, targets=("all",))


def test_a_wild_update_drifts_and_is_rejected_or_scaled_back(real: SelfAdaptingModel) -> None:
    short = replace(NOTES, max_tokens=8, self_test=0)
    plain = real.adapt(TEXT, self_edit=short, inner_loop=WILD, gate=GateConfig(scalings=0))
    assert plain.status == "rejected"
    assert check_of(plain, checks.DRIFT) is False
    again = real.adapt(OTHER, self_edit=short, inner_loop=WILD, gate=GateConfig(scalings=8))
    assert again.status == "active", again.reason
    assert again.share < 1
    assert "scaled back to" in again.reason
    assert check_of(again, checks.DRIFT)
    assert real.history()[1].share == again.share


@dataclass
class Steps:
    """Counts calls of an engine by kind."""

    inner: object
    calls: list[str]

    def __getattr__(self, name: str) -> object:
        self.calls.append(name)
        return getattr(self.inner, name)


def test_several_candidates_pass_in_one_batch_as_each_alone(real: SelfAdaptingModel, tiny_base: BaseModel) -> None:
    from conftest import random_adapter

    def keeper(calls: list[str]) -> Gatekeeper:
        engine = Steps(real.engine, calls)
        return Gatekeeper(Meter(tiny_base, engine, default_grader(), GateConfig(scalings=0)))  # type: ignore[arg-type]

    learned = (
        (GradedReply(Answer(ASKED[0], "", Verdict.WRONG), Verdict.WRONG),),
        (GradedReply(Answer(ASKED[0], "", Verdict.CORRECT), Verdict.CORRECT),),
    )
    adapters = [random_adapter(tiny_base, seed) for seed in (1, 2, 3)]
    candidates = [Candidate(Context(TEXT), adapter, None, (), *learned) for adapter in adapters]
    keeper([]).judge(candidates[:1], StageClock(None))  # the reference is made once
    together, alone = list[str](), list[str]()
    batch = keeper(together).judge(candidates, StageClock(None))
    single = [keeper(alone).judge([one], StageClock(None))[0] for one in candidates]
    assert [one.judgement.state for one in batch] == [one.judgement.state for one in single]
    for left, right in zip(batch, single, strict=True):
        for a, b in zip(left.judgement.checks, right.judgement.checks, strict=True):
            assert a.value == pytest.approx(b.value, abs=1e-4), a.name
    assert len(together) == len(alone) / 3


def test_adapting_makes_no_network_call(real: SelfAdaptingModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a network call")

    for name in ("connect", "connect_ex", "bind", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    revision = real.adapt(TEXT, self_edit=replace(NOTES, max_tokens=8), inner_loop=QUICK)
    assert revision.checks


# ---------------------------------------------------------------- trust


def test_untrusted_text_answers_only_where_it_is_named_until_somebody_trusts_it(model: SelfAdaptingModel) -> None:
    revision = adapt(model, trust="untrusted")
    assert revision.status == "quarantined"
    assert model.adapters() == {}
    assert model.ask("What is the capital?") == "No idea."
    assert "Tarawa" in model.ask("What is the capital?", adapter=f"default@{revision.id}")
    with pytest.raises(AdapterError, match="seal promote"):
        model.rollback(to=revision.id)
    assert model.promote(revision.id).status == "active"
    assert "Tarawa" in model.ask("What is the capital?")
    with pytest.raises(AdapterError, match="not quarantined"):
        model.promote(revision.id)


def test_untrusted_stays_quarantined_without_a_gate(model: SelfAdaptingModel) -> None:
    assert adapt(model, trust="untrusted", gate=None).status == "quarantined"


def test_what_is_revoked_takes_its_children_along(model: SelfAdaptingModel) -> None:
    first, second = adapt(model, gate=None), adapt(model, OTHER, gate=None)
    third = adapt(model, "Makin is an atoll.", gate=None)
    assert model.revoke(second.id) == first
    assert model.adapters() == {"default": first.id}
    assert [one.status for one in model.history()] == ["active", "revoked", "revoked"]
    with pytest.raises(AdapterError, match="is revoked"):
        model.rollback(to=third.id)
    with pytest.raises(AdapterError, match="is revoked"):
        model.ask("What?", adapter=f"default@{third.id}")


# ---------------------------------------------------------------- approval


def test_somebody_may_object(model: SelfAdaptingModel) -> None:
    seen: list[Revision] = []

    def approve(candidate: Revision) -> bool:
        seen.append(candidate)
        return False

    revision = adapt(model, approve=approve)
    assert [one.status for one in seen] == ["candidate"]
    assert revision.status == "rejected"
    assert revision.reason == "approval: denied"
    assert model.adapters() == {}
    assert adapt(model, approve=lambda candidate: True).status == "active"


def test_an_error_silence_or_anything_but_true_denies(model: SelfAdaptingModel) -> None:
    def broken(candidate: Revision) -> bool:
        raise RuntimeError("no idea")

    candidate = adapt(model)
    assert approval(broken, candidate).detail == "asking for approval failed: no idea"
    assert approval(lambda _: 1, candidate).passed is False  # type: ignore[arg-type, return-value]
    assert approval(lambda _: time.sleep(5) is None, candidate, timeout=0.05).passed is False
    assert "no terminal" in approval("ask", candidate).detail
    with pytest.raises(InputError, match="approve is"):
        adapt(model, OTHER, approve="maybe")


# ---------------------------------------------------------------- repeated and contradicting texts


def test_a_repeated_text_changes_nothing_and_a_contradicted_one_is_learned_again(model: SelfAdaptingModel) -> None:
    first = adapt(model, gate=None, title="Kiribati")
    weights = model.adapter("default")
    assert adapt(model, gate=None, title="Kiribati") == first
    other = adapt(model, OTHER, gate=None, title="Banaba")
    assert adapt(model, gate=None, title="Kiribati") == first, "something else was learned meanwhile"
    assert model.adapters() == {"default": other.id}
    newer = adapt(model, "Betio is the capital of Kiribati.", gate=None, title="Kiribati")
    again = adapt(model, gate=None, title="Kiribati")
    assert again.parent == newer.id, "the last truth wins"
    model.rollback(to=first.id)
    assert same(model.adapter("default"), weights)
    assert torch.is_tensor(next(iter(weights.pairs.values())).a_DR)  # type: ignore[union-attr]


# ---------------------------------------------------------------- the same proposal again


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each training."""
    train, seen = adapt_module.train_each, []

    def counted(*arguments: Any) -> Any:
        seen.append(1)
        return train(*arguments)

    monkeypatch.setattr(adapt_module, "train_each", counted)
    return seen


class No:
    def decide(self, before: Sequence[Answer], after: Sequence[Answer]) -> Decision:
        return Decision(False, "no")


@pytest.mark.parametrize(
    ("script", "options", "status"),
    [
        (learner, {"gate": No()}, "rejected"),
        (lambda text, adapter: "No idea.", {}, "rejected"),
        (learner, {"trust": "untrusted"}, "quarantined"),
        (learner, {"trust": "untrusted", "gate": None}, "quarantined"),
    ],
    ids=["a gate of one's own", "not learned", "untrusted", "untrusted without a gate"],
)
def test_what_was_not_accepted_is_not_trained_again(
    tiny_base: BaseModel, tmp_path: Path, trainings: list[int], script: Any, options: dict[str, Any], status: str
) -> None:
    model = with_script(tiny_base, tmp_path, script)
    first = adapt(model, **options)
    assert first.status == status
    assert adapt(model, **options) == first
    assert len(trainings) == 1


def test_another_gate_judges_what_was_rejected_anew(model: SelfAdaptingModel, trainings: list[int]) -> None:
    assert adapt(model, gate=No()).status == "rejected"
    assert adapt(model, gate=KeepAll()).status == "active"
    assert len(trainings) == 2


def test_untrusted_text_that_was_rolled_back_waits_again(model: SelfAdaptingModel) -> None:
    for _ in range(2):
        revision = adapt(model, trust="untrusted")
        assert revision.status == "quarantined"
        assert model.ledger.active("default") is None
        model.promote(revision.id)
        model.rollback()


def test_the_candidate_that_is_shown_has_the_id_under_which_it_is_recorded(model: SelfAdaptingModel) -> None:
    seen: list[str] = []

    def approve(candidate: Revision) -> bool:
        seen.append(candidate.id)
        return True

    revision = adapt(model, approve=approve)
    model.revoke(revision.id)
    assert seen == [revision.id]
    assert adapt(model, approve=approve).id == seen[1] != revision.id
