"""Detection of languages: sure for prose, English where in doubt."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from seal_agent.data.bundled import novel
from seal_agent.text.languages import UNKNOWN, language_of


@pytest.mark.parametrize("language", ["en", "de", "es"])
def test_the_bundled_passages_are_in_their_languages(language: str) -> None:
    assert {language_of(context.text) for context in novel(language)} == {language}


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("", "en"),
        ("12 34", "en"),
        ("Length 31 cm.", "en"),
        ("def get_user_id(x):\n    return x.id", "en"),
        ("The Universität Straßburg was renamed.", "en"),
        ("The poem Die Lorelei was written by Heine in the Rhine valley.", "en"),
        ("She lived in 北京 (Beijing) for years.", "en"),
        ("安娜用 Python 写程序。", "zh"),
        ("¿Dónde?", "es"),
        ("Sangat indah. Saya tinggal di Jakarta dan bekerja di sana.", "id"),
        ("Ayşe geldi. Gemi saat yedide kalkar ve hava çok soğuk.", "tr"),
    ],
)
def test_short_and_mixed_texts(text: str, language: str) -> None:
    assert language_of(text) == language


def test_a_long_text_in_a_language_without_a_table_is_unknown() -> None:
    swahili = (
        "Nilizaliwa Dodoma mwaka elfu moja mia tisa. Mji huo una bandari kubwa sana. Samaki wengi huvuliwa kila siku "
        "na wavuvi kutoka visiwa vya jirani wakati wa masika."
    )
    assert language_of(swahili) == UNKNOWN


def test_real_answers_and_their_questions_are_english(shared_data: Path) -> None:
    rows = [json.loads(line) for line in (shared_data / "graded_answers.jsonl").read_text("utf-8").splitlines()]
    assert {language_of(f"{row['question']} {row['gold']} {row['answer']}") for row in rows} == {"en"}
