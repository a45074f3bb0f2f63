"""Gaps and cues leave something of the sentence, and cut no word."""

from __future__ import annotations

import pytest

from seal_agent.self_edits.cues import cues_of
from seal_agent.self_edits.formats.cloze import GAP, cloze_notes
from seal_agent.self_edits.questions import Sentence, statements_of
from seal_agent.text.phrases import partial_phrases_of


def gapped(text: str) -> dict[str, str]:
    """The sentences with a gap, by what is missing."""
    return {note.answer or "": note.text.partition(": ")[2] for note in cloze_notes(text)}


@pytest.mark.parametrize(
    ("text", "answer", "sentence"),
    [
        ("The painter felt the pain.", "pain", f"The painter felt the {GAP}."),
        ("He carted the car.", "car", f"He carted the {GAP}."),
        ("In 1867 a 1 was seen.", "1", f"In 1867 a {GAP} was seen."),
        ("Der Hausmeister wohnt im Haus.", "Haus", f"Der Hausmeister wohnt im {GAP}."),
    ],
)
def test_a_gap_stands_where_its_phrase_does(text: str, answer: str, sentence: str) -> None:
    assert gapped(text)[answer] == sentence


def test_no_gap_cuts_a_word() -> None:
    assert "10" not in gapped("It opens from 10am to noon on every day.")


@pytest.mark.parametrize(
    "text",
    [
        "Germination takes 44 days.",
        "It pupates inside keyholes.",
        "I'm told it's time.",
        "磨坊天气非常晴朗。",
        "ฝนตกหนักทั้งวัน",
    ],
)
def test_something_is_left_beside_every_gap_and_cue(text: str) -> None:
    for sentence in gapped(text).values():
        assert sum(char.isalnum() for char in sentence) >= 2, sentence
    for source in statements_of("", text):
        whole = source.sentence.rstrip(".。")
        assert not any(whole in cue for seed in range(10) for cue in cues_of(source, 4, seed))


def test_a_phrase_that_is_the_whole_sentence_is_asked_for_in_parts() -> None:
    assert partial_phrases_of("Germination takes 44 days.") == ["Germination", "takes", "44", "days"]
    assert partial_phrases_of("天气晴朗。", "zh") == ["天气", "晴朗"]


def test_one_word_alone_gets_no_cue() -> None:
    assert cues_of(Sentence("", "Germination."), 3) == []


def test_japanese_without_any_chinese_character_gets_cues() -> None:
    (source,) = statements_of("", "さくらはひらがなでかいたほんをよむ。")
    assert {
        phrase for seed in range(20) for cue in cues_of(source, 4, seed) for phrase in cue.rstrip("?？ …").split(", ")
    } >= {
        "さくら",
        "よむ",
    }
