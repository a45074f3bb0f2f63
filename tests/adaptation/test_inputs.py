"""What callers hand over wrongly is refused in one sentence."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

import pytest

from seal_agent.adaptation.inputs import as_context, as_messages
from seal_agent.data.text_files import read_text
from seal_agent.errors import InputError
from seal_agent.prompts import question_prompt
from seal_agent.types import Context, Message, Question


@pytest.mark.parametrize("messages", [None, 3, "hello", {"role": "user", "content": "hello"}, Message("user", "hello")])
def test_messages_are_a_list(messages: Any) -> None:
    with pytest.raises(InputError, match="messages are a list"):
        as_messages(messages)


@pytest.mark.parametrize("message", [None, "hello", 3, {"role": "robot", "content": "hi"}, {"content": "hi"}])
def test_each_message_has_a_role_and_a_text(message: Any) -> None:
    with pytest.raises(InputError, match="each message is"):
        as_messages([message])


def test_mappings_and_messages_may_be_mixed() -> None:
    turns = as_messages([{"role": "user", "content": "hi"}, Message("assistant", "hello")])
    assert turns == (Message("user", "hi"), Message("assistant", "hello"))


@pytest.mark.parametrize(
    "question",
    [
        Question("When?", "1987"),  # type: ignore[arg-type]
        Question("When?", ["1987"]),  # type: ignore[arg-type]
        {"question": "When?", "answer": "1987"},
        {"question": "When?", "answer": ["1987"]},
    ],
)
def test_a_single_answer_may_be_a_text_and_a_question_a_mapping(question: Any) -> None:
    for context, _ in (
        as_context("It opened in 1987.", None, [question]),
        as_context(Context("It opened in 1987.", questions=(question,)), None, None),
    ):
        assert context.questions == (Question("When?", ("1987",)),)


@pytest.mark.parametrize("questions", ["When?", Question("When?", ("1987",)), {"question": "When?"}, 3])
def test_questions_are_a_list(questions: Any) -> None:
    with pytest.raises(InputError, match="questions are a list"):
        as_context("It opened in 1987.", None, questions)


@pytest.mark.parametrize(
    "question", ["When?", ("When?", "1987"), None, {"question": "When?"}, Question(" ", ("1987",))]
)
def test_each_question_has_a_text_and_an_answer(question: Any) -> None:
    with pytest.raises(InputError, match="a question is"):
        as_context("It opened in 1987.", None, [question])


def test_accents_are_composed_on_entry_but_not_in_what_the_assistant_wrote(tmp_path: Path) -> None:
    plain = "Émile fährt für Zoë im März"
    apart = unicodedata.normalize("NFD", plain)
    context, _ = as_context(Context(apart, apart, (Question(apart, (apart,)),)), None, None)
    assert context == Context(plain, plain, (Question(plain, (plain,)),))
    with_heading, document = as_context(f"# {apart}\n\n{apart} nach Bonn.", None, None)
    assert document is not None
    assert with_heading.title == document.title == plain
    assert document.sections[0].text == f"{plain} nach Bonn."
    assert as_messages([Message("user", apart), Message("assistant", apart)]) == (
        Message("user", plain),
        Message("assistant", apart),
    )
    assert question_prompt(apart, apart) == question_prompt(plain, plain)
    (tmp_path / "a.txt").write_text(apart, "utf-8")
    assert read_text(tmp_path / "a.txt") == plain
