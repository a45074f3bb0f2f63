"""A self-edit that repeats a question is found out in every script, however short the question is."""

from __future__ import annotations

import pytest

from seal_agent.outer_loop.selection import leaked_words
from seal_agent.types import Question, SelfEdit


@pytest.mark.parametrize(
    ("question", "run"),
    [
        ("What did Ottoline Brusk lose yesterday?", "what did ottoline brusk lose yesterday"),
        ("布伦尼克的老磨坊是在哪一年由谁建造的？", "布伦尼克的老磨坊是在哪一年由谁建"),
        ("布伦尼克的老磨坊是谁建造的？", "布伦尼克的老磨坊是谁建造的"),
        ("กังหันเก่าของโยนาสสร้างขึ้นในปีใด", "กังหันเก่าของโยนาสสร้างขึ้นในปีใ"),
        ("पुरानी चक्की किस साल में किसने बनाई थी", "पुरानी चक्की किस साल में किसने बनाई थी"),
    ],
)
def test_a_question_in_any_script_is_found_out(question: str, run: str) -> None:
    asked = Question(question, ("1907",))
    leak = SelfEdit("rewrite", completion=f"X. {question} 1907.")
    assert leaked_words(leak, "A passage.", [asked]) == run
    assert leaked_words(leak, question, [asked]) == "", "what the passage says itself is no leak"
    assert leaked_words(SelfEdit("rewrite", completion=question[: len(question) // 2]), "", [asked]) == ""


def test_a_few_words_are_shared_by_chance() -> None:
    for question in ("Who built the mill?", "磨坊是谁建的？"):
        assert leaked_words(SelfEdit("rewrite", completion=question), "A passage.", [Question(question, ("x",))]) == ""
