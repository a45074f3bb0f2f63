"""Numbers, fractions, months and names in one form each."""

from __future__ import annotations

import pytest

from seal_agent.text.east_asian_numbers import numeral_value, with_plain_numbers
from seal_agent.text.fractions import with_fractions_of
from seal_agent.text.initials import with_names_of
from seal_agent.text.normalization import normalize_spelling


@pytest.mark.parametrize(
    ("text", "alike"),
    [
        ("twenty-two and a half", "22.5"),
        ("3 1/2 cups", "3.5 cups"),
        ("2½ cups", "2.5 cups"),
        ("an hour and a half", "1.5 hours"),
        ("half a dozen of two dozen", "6 of 24"),
        ("half a million", "0.5 million"),
        ("Zero or twice", "0 or two times"),
        ("the First World War", "the World War I"),
        ("Dec. 25, 3 Sep 1990 and Oct 2", "December 25, 3 September 1990 and October 2"),
        ("Jan Novak and Mar del Plata", "Jan Novak and Mar del Plata"),
        ("1500 €", "1500 euros"),
        ("5 GB at 2 GHz", "5 gigabytes at 2 gigahertz"),
    ],
)
def test_numbers_and_months(text: str, alike: str) -> None:
    assert normalize_spelling(text) == alike
    assert normalize_spelling(alike) == alike


@pytest.mark.parametrize(
    ("numerals", "value"),
    [
        ("二十", 20),
        ("三百二十", 320),
        ("一八六七", 1867),
        ("二〇〇八", 2008),
        ("三万五千", 35_000),
        ("三五", None),
        ("千", 1000),
    ],
)
def test_chinese_numerals(numerals: str, value: int | None) -> None:
    assert numeral_value(numerals) == value


def test_numbers_in_names_stay() -> None:
    assert with_plain_numbers("四川三毛一个人", "zh") == "四川三毛一个人"
    assert with_plain_numbers("三个人，二十天，3.5万元", "zh") == "3个人，20天，35000元"
    assert with_plain_numbers("세 마리 세종", "ko") == "3마리 세종"


@pytest.mark.parametrize(
    ("gold", "answer", "rewritten"),
    [
        ("25%", "a quarter of it", "25% of it"),
        ("two thirds", "66.7 percent", "two thirds"),
        ("half", "0.5 of it", "half of it"),
        ("25%", "30% or a third", "30% or a third"),
        ("the third", "33%", "33%"),
    ],
)
def test_fractions_as_the_gold_writes_them(gold: str, answer: str, rewritten: str) -> None:
    assert with_fractions_of(gold, answer) == rewritten


@pytest.mark.parametrize(
    ("question", "gold", "answer", "rewritten"),
    [
        ("Where?", "United Kingdom", "in the UK", "in the United Kingdom"),
        ("Where?", "the USA", "in the United States", "in the USA"),
        ("Where?", "United States", "it gave us hope in South America", "it gave us hope in South America"),
        ("Who?", "John F. Kennedy", "JFK", "John F. Kennedy"),
        ("Which?", "IMF", "the International Monetary Fund", "the IMF"),
        ("What does LGM stand for?", "Last Glacial Maximum", "LGM", "LGM"),
    ],
)
def test_names_as_the_gold_writes_them(question: str, gold: str, answer: str, rewritten: str) -> None:
    assert with_names_of(question, gold, answer) == rewritten
