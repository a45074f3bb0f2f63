"""Phrases, names, numbers and words in every script."""

from __future__ import annotations

import pytest

from seal_agent.text.phrases import names_of, phrases_of
from seal_agent.text.scripts import word_count
from seal_agent.text.words import content_words, has_number, words_of


@pytest.mark.parametrize(
    ("language", "sentence", "phrases"),
    [
        ("en", "The grey storks rest in Ossel Marsh.", ["grey storks rest", "Ossel Marsh"]),
        ("de", "Die alte Mühle steht z. B. in Bonn.", ["alte Mühle steht", "Bonn"]),
        ("fr", "Les cigognes grises mangent dans le marais.", ["cigognes grises mangent", "marais"]),
        ("ru", "Анна живёт в Москве.", ["Анна живёт", "Москве"]),
        ("el", "Η Άννα ζει στην Αθήνα.", ["Άννα ζει", "Αθήνα"]),
        ("zh", "磨坊是木匠约纳斯于1782年建造的。", ["磨坊", "木匠约纳斯", "1782年建造"]),
        ("ja", "安娜は東京に住んでいます。", ["安娜", "東京", "住"]),
        ("hi", "अन्ना दिल्ली में रहती है।", ["अन्ना दिल्ली", "रहती"]),
        ("ar", "تعيش آنا في القاهرة.", ["تعيش آنا", "القاهرة"]),
        ("ka", "ანა თბილისში ცხოვრობს.", ["ანა", "თბილისში", "ცხოვრობს"]),
        ("und", "Mji una bandari.", ["Mji", "una", "bandari"]),
    ],
)
def test_phrases(language: str, sentence: str, phrases: list[str]) -> None:
    assert phrases_of(sentence, language) == phrases


def test_german_nouns_are_no_names_and_names_are() -> None:
    assert names_of("Am Montag kam Dr. Weber mit dem Zug nach Bonn.", "de") == ["Weber", "Bonn"]
    assert names_of("Die Müllerin Adele Brunkhorst baute einen Damm.", "de") == ["Müllerin", "Adele", "Brunkhorst"]
    assert names_of("Он встретил Анну в Москве.", "ru") == ["Анну", "Москве"]
    assert names_of("अन्ना दिल्ली में है।", "hi") == []


@pytest.mark.parametrize(
    ("language", "left", "right"),
    [
        ("de", "vierzig Schiffe", "40 Schiff"),
        ("de", "9. Mai", "9 May"),
        ("es", "cuarenta barcos", "40 barco"),
        ("fr", "l'église", "église"),
        ("fr", "quarante", "40"),
        ("ru", "речных раков", "речные раки"),
        ("de", "1.412", "1412"),
        ("ar", "١٩٠٧", "1907"),
    ],
)
def test_two_writings_of_one_thing_have_the_same_words(language: str, left: str, right: str) -> None:
    assert words_of(left, language) == words_of(right, language)


def test_marks_stay_in_their_words_and_function_words_are_no_content() -> None:
    assert len(words_of("अन्ना दिल्ली में रहती है।", "hi")) == 5
    assert content_words("Die Mühle ist in der Stadt", "de") == words_of("Mühle Stadt", "de")


def test_numbers() -> None:
    assert has_number("vierzig Störche", "de")
    assert not has_number("eine Frau", "de")
    assert has_number("四十只鹳鸟", "zh")


def test_words_are_counted_without_spaces_too() -> None:
    assert word_count("three small words") == 3
    assert 3 <= word_count("安娜住在北京。") <= 5
