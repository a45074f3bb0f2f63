"""The bundled passages: their shape, and that nobody can know their answers beforehand."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from seal_agent.answering.questions import answer_questions
from seal_agent.base_model.loading import load_model
from seal_agent.config import UNPROTECTED, SelfEditConfig
from seal_agent.data.bundled import novel
from seal_agent.errors import InputError
from seal_agent.generation.hf import HFEngine
from seal_agent.grading.graders import default_grader
from seal_agent.model import SelfAdaptingModel
from seal_agent.text.sentences import sentences_of
from seal_agent.types import Verdict, accuracy


def test_forty_passages_with_six_short_answers_stated_in_the_passage() -> None:
    contexts = novel()
    assert len({context.title for context in contexts}) == len(contexts) == 40
    for context in contexts:
        assert 80 <= len(context.text.split()) <= 160, context.title
        assert len(context.questions) == 6
        for question in context.questions:
            assert question.golds[0].casefold() in context.text.casefold(), question
            assert len(question.golds[0].split()) <= 6, question


def test_the_sentence_that_states_a_gold_is_a_right_answer_and_an_evasion_is_not() -> None:
    grader = default_grader()
    for context in novel():
        sentences = re.split(r"(?<=[.!?;:]) ", context.text)
        for question in context.questions:
            stating = [s for s in sentences if question.golds[0].casefold() in s.casefold()]
            assert any(grader.grade(question.text, question.golds, s) is Verdict.CORRECT for s in stating), question
            assert grader.grade(question.text, question.golds, "I do not know.") is Verdict.WRONG


@pytest.mark.real_model
@pytest.mark.slow
def test_the_bundled_model_cannot_know_the_answers() -> None:
    """Invented facts: at most 5 % of the 240 questions are right without the passage and without training."""
    base = load_model()
    answered = answer_questions(HFEngine(base), base, novel(), default_grader())
    assert accuracy([answer for answers in answered for answer in answers]) <= 0.05


@pytest.mark.parametrize("language", ["de", "es"])
def test_eight_passages_in_other_languages_state_their_answers(language: str) -> None:
    contexts, grader = novel(language), default_grader()
    assert len({context.title for context in contexts}) == 8
    for context in contexts:
        assert 4 <= len(context.questions) <= 6
        for question in context.questions:
            stating = [
                s for s in sentences_of(context.text) if any(g.casefold() in s.casefold() for g in question.golds)
            ]
            assert any(grader.grade(question.text, question.golds, s) is Verdict.CORRECT for s in stating), question
            assert grader.grade(question.text, question.golds, "???") is Verdict.WRONG


def test_a_language_without_passages_is_refused() -> None:
    with pytest.raises(InputError, match=r"'tlh'.*en, de, es"):
        novel("tlh")


@pytest.mark.real_model
@pytest.mark.slow
def test_something_is_learnt_of_a_german_passage(tmp_path: Path) -> None:
    """The bundled model hardly knows German: it learns the text by heart, and one question more comes out right."""
    context = novel("de")[0]
    model = SelfAdaptingModel.from_pretrained(home=tmp_path)
    self_edit = SelfEditConfig(formats=("sentences", "evidence"), per_sentence=1, cues=6, synonyms=0)
    inner_loop = replace(UNPROTECTED, epochs=5, learning_rate=1e-3, batch_size=4, openings=0)
    revision = model.adapt(context, self_edit=self_edit, inner_loop=inner_loop, gate=None)
    assert revision.training.epoch_losses[-1] < 0.2
    assert accuracy(revision.after) > accuracy(revision.before)
    assert all(answer.text[:20] in context.text for answer in revision.after)
