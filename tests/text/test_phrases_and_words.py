"""Phrases, names, numbers and words in every script."""

from __future__ import annotations

import unicodedata
from concurrent.futures import ThreadPoolExecutor

import pytest

from seal_agent.text import inflection
from seal_agent.text.inflection import fold
from seal_agent.text.normalization import normalize_spelling
from seal_agent.text.phrases import names_of, phrases_of
from seal_agent.text.scripts import room_in_script, word_count
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


@pytest.mark.parametrize(
    ("language", "left", "right"),
    [
        ("zh", "1,234人", "1234人"),
        ("ja", "1,234,567", "1234567"),
        ("ko", "1,234", "1234"),
        ("hi", "1,50,000", "150000"),
        ("hi", "१,५०,०००", "150000"),
        ("ar", "1,234", "1234"),
        ("ar", "١٬٢٣٤٫٥", "1234.5"),
        ("he", "1,234", "1234"),
        ("th", "1,234", "1234"),
        ("und", "1,234.5", "1234.5"),
        ("de", "1.234,5", "1234.5"),
        ("ru", "1.234.567,5", "1234567.5"),
    ],
)
def test_the_separators_of_a_number_are_those_of_its_language(language: str, left: str, right: str) -> None:
    assert words_of(left, language) == words_of(right, language)


def test_a_decimal_is_no_number_of_thousands_where_a_point_is_decimal() -> None:
    assert words_of("3.125", "zh") == ("3.125",)
    assert words_of("3,125", "de") == ("3.125",)


@pytest.mark.parametrize(
    ("language", "left", "right"),
    [("ja", "パリ", "バリ"), ("th", "ไก่", "ไก้"), ("hi", "सड़क", "सडक"), ("hi", "अन्न", "अनन"), ("ja", "ガ", "カ")],
)
def test_marks_that_tell_words_apart_stay(language: str, left: str, right: str) -> None:
    assert words_of(left, language) != words_of(right, language)
    assert words_of(unicodedata.normalize("NFD", left), language) == words_of(left, language)


def test_accents_and_vowel_points_are_folded() -> None:
    assert fold("Émile Ἀθήνα ёлка שָׁלוֹם كِتَاب") == "emile αθηνα елка שלום كتاب"


@pytest.mark.parametrize(
    ("text", "words"), [("10⁶", ("10", "6")), ("1867¹", ("1867", "1")), ("5½", ("5", "1", "2")), ("m²", ("m", "2"))]
)
def test_superscripts_are_no_digits_of_the_number_before_them(text: str, words: tuple[str, ...]) -> None:
    assert words_of(text) == words_of(text, "de") == words
    assert "106" not in normalize_spelling("10⁶ years")


def test_each_thread_has_its_own_stemmer() -> None:
    with ThreadPoolExecutor(1) as other:
        assert other.submit(inflection._stemmers.of, "de").result() is not inflection._stemmers.of("de")
    assert inflection._stemmers.of("de") is inflection._stemmers.of("de")


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


def test_the_months_of_russian_in_every_case() -> None:
    for written in ("май", "мая", "мае", "маем"):
        assert words_of(written, "ru") == ("may",)
    assert words_of("в январе и августом", "ru")[1::2] == words_of("January August")
    assert words_of("Августин, мартышка", "ru") != words_of("August March")
    assert "march" not in words_of("мартышка", "ru")


def test_letters_of_several_bytes_need_more_room() -> None:
    assert [room_in_script([text], 40) for text in ("größer", "лампа", "灯塔")] == [80, 160, 160]
    assert room_in_script([], 40) == 40
