"""The part of a sentence that an answer means, and the clause in which it stands."""

from __future__ import annotations

import pytest

from seal_agent.text.clauses import clause_around, span_like
from seal_agent.text.languages import language_of


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


@pytest.mark.parametrize(
    ("sentence", "words", "span"),
    [
        ("The office closes every Friday at 6 p.m. in summer.", "6 p.m.", "6 p.m."),
        ("In summer the office closes at 6 p.m.", "6 p.m.", "6 p.m."),
        ("In summer the office closes at 6 p.m.", "6 p.m", "6 p.m."),
        (
            "It was named after Martin Luther King Jr. by the council.",
            "Martin Luther King Jr.",
            "Martin Luther King Jr.",
        ),
        ("The capital is Washington, D.C. since 1800.", "Washington, D.C.", "Washington, D.C."),
        ("It belongs to the National Football League (NFL).", "National Football League (NFL)", None),
        ("It belongs to the National Football League (NFL).", "(NFL)", "NFL"),
        ('The band closed with the song "Hey Jude" and left.', 'the song "Hey Jude"', 'the song "Hey Jude"'),
        ('The band closed with the song "Hey Jude" and left.', '"Hey Jude"', "Hey Jude"),
        ('The band closed with "Hey Jude" and "Help".', '"Hey Jude" and "Help"', '"Hey Jude" and "Help"'),
        ("The band closed with the song “Hey Jude” and left.", "song “Hey Jude", "song “Hey Jude”"),
        ("The band closed with the song “Hey Jude” and left.", "“Hey", "Hey"),
        ("Die Band spielte das Lied „Hey Jude“ und ging.", "das Lied „Hey Jude", "das Lied „Hey Jude“"),
        ("Le groupe joua la chanson « Hey Jude » puis partit.", "la chanson « Hey Jude »", "la chanson « Hey Jude »"),
        ("乐队演唱了歌曲《嘿，朱德》。", "歌曲《嘿，朱德》。", "歌曲《嘿，朱德》"),
        ("灯塔属于航海协会（NA），建于1867年。", "航海协会（NA）", "航海协会（NA）"),
        ("曲は「ヘイ・ジュード」だった。", "曲は「ヘイ・ジュード」", "曲は「ヘイ・ジュード」"),
        ("Call (555) 0100 at any hour.", "(555) 0100", "(555) 0100"),
        ("It is written in .NET and runs on two machines.", ".NET", ".NET"),
        ("In 1985 the rate was cut by .5 percent.", ".5 percent.", ".5 percent"),
        ("In 1985 the rate was cut by .5", ".5", ".5"),
        ("The class of '68 met again.", "'68", "'68"),
        ("He is 6'2\" tall.", "6'2\"", "6'2\""),
        ("The workers' union met in 1912.", "workers'", "workers"),
        ("It's Levi's Stadium.", "Levi's Stadium.", "Levi's Stadium"),
        ("He said it in 1912. She left.", "in 1912.", "in 1912"),
        ("Es kostet 6 Mio. Euro im Jahr.", "6 Mio.", "6 Mio."),
        ("Это стоит 6 млн. рублей.", "6 млн.", "6 млн."),
        ("He took vitamin C.", "vitamin C.", "vitamin C"),
    ],
)
def test_what_belongs_to_an_answer_stays_at_its_edges(sentence: str, words: str, span: str | None) -> None:
    assert span_like(sentence, words, language_of(sentence)) == (words if span is None else span)


def test_a_clause_keeps_what_belongs_to_it() -> None:
    assert clause_around("It closes early, at 6 p.m.", "6 p.m.") == "at 6 p.m."
    assert clause_around("Runs in .NET, mostly.", ".NET") == "Runs in .NET"
    assert clause_around("The Lunar Roving Vehicle (LRV) came, too.", "Lunar Roving Vehicle (LRV)").endswith("(LRV)")
    assert clause_around('"The tower, lit in 1867, burns."', "burns") == "burns"
