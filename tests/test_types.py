"""Values read well and know the difference between a failure and a zero."""

from __future__ import annotations

import dataclasses

import pytest

from seal_agent.types import (
    Answer,
    Context,
    Outcome,
    Proposal,
    Question,
    Revision,
    Stage,
    TrainingSummary,
    Verdict,
    accuracy,
    content_hash,
)

QUESTION = Question("Where is Tarawa?", ("Pacific",))


def answer(verdict: Verdict, text: str = "In the Pacific.") -> Answer:
    return Answer(QUESTION, text, verdict)


def revision(**changes: object) -> Revision:
    whole = Revision(
        id="abc123def456",
        adapter="atolls",
        parent=None,
        created="2026-01-01T00:00:00.000+00:00",
        base="base-identity",
        context=Context("Tarawa lies in the Pacific.", "Kiribati", (QUESTION,)),
        self_edits=(),
        before=(answer(Verdict.WRONG, "In the\nAlps " * 20),),
        after=(answer(Verdict.CORRECT),),
        stages=(Stage("train", 1.25), Stage("save", 0.25)),
        training=TrainingSummary(3, 30, 600, (2.5, 0.5)),
        accepted=True,
        reason="0 of 1 questions right before, 1 after",
    )
    return dataclasses.replace(whole, **changes)  # type: ignore[arg-type]


def test_a_revision_prints_what_was_learnt_and_whether_it_was_kept() -> None:
    text = str(revision())
    assert "Revision abc123def456 of adapter 'atolls' · Kiribati · kept: 0 of 1 questions right before, 1 after" in text
    assert "parent    the base model" in text
    assert "3 sequences, 30 steps, 600 tokens · loss 2.50 → 0.50" in text
    assert "train 1.2 · save 0.2" in text
    assert "✗ → ✓  Where is Tarawa?" in text
    assert max(map(len, text.splitlines())) < 140, "long answers are cut"


def test_a_revision_taken_back_says_so_and_shows_ungraded_answers() -> None:
    text = str(revision(accepted=False, reason="no gain", parent="p1", after=(answer(Verdict.UNGRADED),)))
    assert "taken back: no gain" in text
    assert "parent    p1" in text
    assert "✗ → ?" in text


def test_the_seconds_of_a_revision_are_those_of_its_stages() -> None:
    assert revision().seconds == 1.5


def test_an_ungraded_answer_makes_the_outcome_a_failure_not_a_zero() -> None:
    outcome = Outcome.of([answer(Verdict.WRONG)], [answer(Verdict.UNGRADED)])
    assert outcome.reward is None
    assert outcome.failed_stage == "grading"
    assert outcome.reason == "the answers to 1 of 1 questions could not be graded"


def test_one_ungraded_answer_leaves_its_question_out_and_not_the_others() -> None:
    before = [answer(Verdict.WRONG), answer(Verdict.UNGRADED), answer(Verdict.WRONG)]
    after = [answer(Verdict.CORRECT), answer(Verdict.CORRECT), answer(Verdict.WRONG)]
    reward = Outcome.of(before, after).reward
    assert reward is not None
    assert (reward.baseline, reward.adapted) == (0.0, 0.5)
    assert Outcome.of(before, [answer(Verdict.UNGRADED)] * 2 + after[2:]).reward is None, "more than half"


def test_a_graded_outcome_is_a_reward() -> None:
    before = [answer(Verdict.WRONG), answer(Verdict.CORRECT)]
    outcome = Outcome.of(before, [answer(Verdict.CORRECT)] * 2)
    assert outcome.reward is not None
    assert (outcome.reward.baseline, outcome.reward.adapted, outcome.reward.gain) == (0.5, 1.0, 0.5)


def test_accuracy_leaves_ungraded_answers_out_and_needs_one_graded() -> None:
    assert accuracy([answer(Verdict.CORRECT), answer(Verdict.UNGRADED)]) == 1.0
    with pytest.raises(ValueError, match="no graded answers"):
        accuracy([answer(Verdict.UNGRADED)])


def test_a_proposals_id_depends_on_all_but_the_seconds() -> None:
    proposal = Proposal("a", Context("text"), ("text",), (), None, "base", (Stage("write", 1.0),))
    assert proposal.id == dataclasses.replace(proposal, stages=()).id
    assert proposal.id != dataclasses.replace(proposal, adapter="b").id
    assert proposal.id != dataclasses.replace(proposal, parent="p").id


def test_a_content_hash_ignores_the_order_of_keys() -> None:
    assert content_hash({"a": 1, "b": 2}) == content_hash({"b": 2, "a": 1}) != content_hash({"a": 1, "b": 3})


def test_values_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        revision().id = "other"  # type: ignore[misc]
