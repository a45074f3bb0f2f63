"""What a model thinks aloud is no part of its notes, its answers or its verdicts."""

from __future__ import annotations

from pathlib import Path

from fakes import ScriptedEngine

from seal_agent.answering.questions import answer_questions, ask_closed_book
from seal_agent.base_model.model import BaseModel
from seal_agent.generation.engine import Engine
from seal_agent.grading.judge import _parse_reply
from seal_agent.grading.lexical import LexicalGrader
from seal_agent.model import SelfAdaptingModel
from seal_agent.outer_loop.rewards.rubric import _parse_reply as parse_rubric
from seal_agent.self_edits.parsing import parse
from seal_agent.types import Context, Note, Question, Sampling, SelfEdit, Verdict

THOUGHT = "<think>\nPerhaps London? No, no.\n</think>\n\n"
UNOPENED = "Perhaps London? No, no.\n</think>\n\n"
QUESTION = Question("What is the capital of France?", ("Paris",))
ENGINE: Engine = ScriptedEngine(lambda question, _: (UNOPENED if "Spain" in question else THOUGHT) + "Paris")


def test_answers_are_graded_and_kept_without_thoughts(tiny_base: BaseModel) -> None:
    not_a_city = Question("What is the capital of Spain?", ("London",))  # named only in the thoughts
    ((right, wrong),) = answer_questions(
        ENGINE, tiny_base, [Context("…", questions=(QUESTION, not_a_city))], LexicalGrader()
    )
    assert (right.text, right.verdict, right.direct) == ("Paris", Verdict.CORRECT, Verdict.CORRECT)
    assert (wrong.text, wrong.verdict, wrong.direct) == ("Paris", Verdict.WRONG, Verdict.WRONG)


def test_closed_book_answers_and_ask_hold_no_thoughts(tiny_base: BaseModel, tmp_path: Path) -> None:
    assert ask_closed_book(ENGINE, [("", QUESTION.text, None)], Sampling()) == ["Paris"]
    assert SelfAdaptingModel(tiny_base, home=tmp_path, engine=ENGINE).ask(QUESTION.text) == "Paris"


def test_notes_hold_no_thoughts() -> None:
    written = THOUGHT + "1. Paris is the capital of France.\n2. The Seine flows through Paris."
    notes = (Note("Paris is the capital of France."), Note("The Seine flows through Paris."))
    assert parse(SelfEdit("implications", "…", written)) == notes
    assert parse(SelfEdit("implications", "…", "<think>\nLet me list the facts first.")) == ()


def test_judges_are_read_behind_their_thoughts() -> None:
    assert _parse_reply("<think>No, wait. Yes.</think>\nyes") == Verdict.CORRECT.value
    assert _parse_reply("No gold says so at first sight.\n</think>\nYes.") == Verdict.CORRECT.value
    assert _parse_reply("<think>Yes, I th") is None
    numbers = "length: 4\ndiversity: 3\nquality: 5\ncorrectness: 2"
    assert parse_rubric(numbers) == parse_rubric(f"Diversity: 9, no.\n</think>\n{numbers}")
