"""Cues ask when, who and how many of sentences that say it."""

from __future__ import annotations

import pytest

from seal_agent.self_edits.cues import cues_of
from seal_agent.self_edits.dates import DATES, counts_something
from seal_agent.self_edits.question_words import names_of_who_or_where, question_words_of
from seal_agent.self_edits.questions import Sentence, is_dated


@pytest.mark.parametrize(
    ("sentence", "language"),
    [
        ("Mary fed the Market at Augsburg.", "en"),
        ("The Declaration was kept in the Novel library.", "en"),
        ("The Octopus, Mars and Jan van Eyck are old.", "en"),
        ("You may march; May I go?", "en"),
        ("The house costs 1500 euros, or $1500.", "en"),
        ("Some 1500 people came.", "en"),
        ("Die Frau Mai wohnt im Haus.", "de"),
        ("Der Turm kostete 1500 Euro.", "de"),
        ("Мария купила мартини в маяке.", "ru"),
        ("一点也不好吃的苹果。", "zh"),
        ("他提出三点意见。", "zh"),
    ],
)
def test_what_only_looks_like_a_date_is_none(sentence: str, language: str) -> None:
    assert not is_dated(sentence, language)


@pytest.mark.parametrize(
    ("sentence", "language"),
    [
        ("In 1907 the tower was built.", "en"),
        ("It opened in May, on 5 March or on Jan. 3.", "en"),
        ("It opens in September at 18:40.", "en"),
        ("The 1500 book is old.", "en"),
        ("Er kam im Mai, am 3. August.", "de"),
        ("Elle vint en mars.", "fr"),
        ("El 5 de mayo.", "es"),
        ("Он пришёл в мае, пятого марта.", "ru"),
        ("他下午三点来。", "zh"),
        ("一点半开会。", "zh"),
    ],
)
def test_a_date_is_seen(sentence: str, language: str) -> None:
    assert is_dated(sentence, language)


@pytest.mark.parametrize(
    ("sentence", "language", "counts"),
    [
        ("No one lives there in winter.", "en", False),
        ("The first keeper has a second key, and the 3rd.", "en", False),
        ("It opened on 5 May 1907 at 18:40.", "en", False),
        ("The house costs 1500 euros.", "en", True),
        ("One of them fed forty geese in 1907.", "en", True),
        ("Der zweite Schlüssel liegt im 3. Stock.", "de", False),
        ("Le deuxième gardien.", "fr", False),
        ("La segunda llave.", "es", False),
        ("Второй ключ, 3-й этаж.", "ru", False),
        ("第二把钥匙。", "zh", False),
        ("四十只鹅。", "zh", True),
    ],
)
def test_ordinals_and_dates_count_nothing(sentence: str, language: str, counts: bool) -> None:
    assert counts_something(sentence, language) is counts


def test_who_and_where_are_asked_of_persons_and_places() -> None:
    assert names_of_who_or_where("The shop in Orrin sells English mustard to Anna on Monday.") == ["Orrin", "Anna"]
    words = [
        cue.split()[0] for seed in range(20) for cue in cues_of(Sentence("", "The soup is closed on Monday."), 4, seed)
    ]
    assert not {"Who", "Where", "When"}.intersection(words)


def test_every_language_with_question_words_has_dates() -> None:
    for language, pattern in DATES.items():
        table = question_words_of(language)
        assert table
        assert table.date is pattern
