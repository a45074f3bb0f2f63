"""The part of a sentence that an answer means, and the clause in which it stands."""

from __future__ import annotations

import pytest

from seal_agent.text.clauses import clause_around, span_like


@pytest.mark.parametrize(
    ("sentence", "words", "clause", "language"),
    [
        (
            "The debate is hard to resolve because data sampling is biased, and both views are supported.",
            "biased",
            "data sampling is biased",
            "en",
        ),
        ("It cost 1,412 crowns, which the mayor paid.", "1,412", "It cost 1,412 crowns", "en"),
        ("The lamp, lit in 1867, burns hazelnut oil.", "hazelnut oil", "burns hazelnut oil", "en"),
        ("Die Fähre sank, weil der Nebel zu dicht war.", "Nebel", "der Nebel zu dicht war", "de"),
        ("灯塔建于1867年，由奥迪尔建造。", "奥迪尔", "由奥迪尔建造", "zh"),
        ("Nothing like it.", "elsewhere", "elsewhere", "en"),
        ("Nothing like it.", "", "", "en"),
        (f"It is {'very ' * 30}long.", "long", "long", "en"),
    ],
)
def test_the_clause_of_an_answer(sentence: str, words: str, clause: str, language: str) -> None:
    assert clause_around(sentence, words, language) == clause


@pytest.mark.parametrize(
    ("sentence", "words", "span", "language"),
    [
        ("The force comes from the swelling of chickpeas in a cylinder.", "chickens", "chickpeas", "en"),
        ("Founder Tekla Borrisk made the first batch in 1926.", "Tekla Borazzaris", "Tekla Borrisk", "en"),
        ("The sentence is an afternoon of scrubbing turnips.", "scrub turnips", "scrubbing turnips", "en"),
        ("It leaves at 18:40.", "18:40.", "18:40", "en"),
        ("It leaves at 18:40.", "the mayor's elephant", "", "en"),
        ("It leaves at 18:40.", "", "", "en"),
        ("灯塔建于1867年，由奥迪尔建造。", "由奥迪建造", "由奥迪尔建造", "zh"),
        ("灯塔由奥迪尔建造。", "奥迪尔\ufffd", "奥迪尔", "zh"),
        ("Der Kaiserlich-Königliche Hof kam.", "Kaiserlich-König", "Kaiserlich-Königliche", "de"),
        ("수도는 타라와이다.", "타라와", "타라와", "ko"),
    ],
)
def test_the_part_of_a_sentence_that_an_answer_means(sentence: str, words: str, span: str, language: str) -> None:
    assert span_like(sentence, words, language) == span


def test_words_that_were_cut_go_on_to_the_end_of_the_last_one() -> None:
    sentence = "Odile Brannock built it at 18:40."
    assert span_like(sentence, "Odile Brann", cut=True) == "Odile Brannock"
    assert span_like(sentence, "18:4", cut=True) == "18:40"
    assert span_like(sentence, "Odile Brann") == "Odile Brann"
