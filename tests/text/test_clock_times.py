"""Times of day in any of their writings."""

from __future__ import annotations

import pytest

from seal_agent.text.clock_times import clock_times, has_other_time, with_times_of


@pytest.mark.parametrize(
    ("language", "written", "minute"),
    [
        ("en", "6 p.m.", 18 * 60),
        ("en", "half past six in the morning", 6 * 60 + 30),
        ("en", "quarter to nine", 8 * 60 + 45),
        ("en", "nine o'clock", 9 * 60),
        ("en", "12 am", 0),
        ("en", "midnight", 0),
        ("en", "18:05", 18 * 60 + 5),
        ("de", "halb neun", 8 * 60 + 30),
        ("de", "6 Uhr abends", 18 * 60),
        ("fr", "18 h 30", 18 * 60 + 30),
        ("es", "las 6 de la tarde", 18 * 60),
        ("zh", "下午6点半", 18 * 60 + 30),
        ("ja", "午後3時", 15 * 60),
        ("ko", "오전 6시 20분", 6 * 60 + 20),
    ],
)
def test_a_time_is_a_minute_of_the_day(language: str, written: str, minute: int) -> None:
    assert [time.minute for time in clock_times(written, language)] == [minute]


@pytest.mark.parametrize("text", ["1:2", "2:05:30", "10.5", "chapter 6", "1990s", "I am 5", "25:00"])
def test_other_numbers_are_no_times(text: str) -> None:
    assert clock_times(text) == ()


def test_an_answer_gets_the_times_of_the_gold() -> None:
    assert with_times_of("6 pm", "It closes at 18:00 or 7:00.") == "It closes at 6 pm or 7:00."
    assert with_times_of("6:30", "At 6:30 pm.") == "At 6:30."


def test_a_time_of_the_question_is_no_other_answer() -> None:
    question = "When does the bus of 7:15 arrive?"
    assert has_other_time(question, "8:20", "It arrives at 8:40.")
    assert not has_other_time(question, "8:20", "The bus of 7:15 arrives soon.")
