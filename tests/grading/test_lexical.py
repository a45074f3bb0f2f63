"""The graders that need no key."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from seal_agent.grading.graders import default_grader
from seal_agent.grading.lexical import LexicalGrader, overlap_features
from seal_agent.text import words as lexical
from seal_agent.text.normalization import normalize_spelling, numeral_value
from seal_agent.types import Verdict


def verdict(golds: tuple[str, ...], answer: str, question: str = "Which?") -> Verdict:
    return LexicalGrader().grade(question, golds, answer)


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("the Pacific", "It lies in the pacific ocean."),
        ("1,862", "About 1862 people."),
        ("1862", "1,862."),
        ("Château", "a chateau"),
        ("Ann B. Lee", "ann b lee"),
        ("the old stone church tower", "the old church tower"),
        ("43 metres", "It is forty-three meters high."),
        ("two", "2"),
        ("a dozen", "12"),
        ("3.5 million", "3500000"),
        ("over 3 million", "3,000,000 people live there."),
        ("the third", "3rd"),
        ("9 May 1862", "It opened on May 9th, 1862."),
        ("18:40", "The last one leaves at 6:40 pm."),
        ("19th century", "It was built in 1833."),
        ("19th century", "In the nineteenth century."),
        ("215 BC", "In 215 BCE."),
        ("5%", "five percent"),
        ("$20", "20 dollars"),
        ("2 km", "two kilometres"),
        ("children", "a child"),
        ("mice", "a mouse"),
        ("Mt. Everest", "Mount Everest"),
        ("Dr. John A. Smith", "J. Smith built it."),
        ("John Smith", "Smith"),
        ("the U.S. military", "The US Military buys them."),
        ("red, green and blue", "Blue, red and green."),
        ("hazelnut oil", "It burns oil pressed from hazelnuts."),
        ("Kaiser-Wilhelms-Universität", "Kaiser Wilhelms Universitat"),
        ("68", "She said that no fewer than 68 complaints had reached her."),
        ("nine ounces", "A lamp not exceeding 9 ounces."),
        ("Mirabel", "The ferry Mirabel, which sank in 1911, is a lighthouse."),
        ("did not have total power", "He did not have total power."),
        ("9 May 1862", "1862-05-09"),
        ("25 May 1862", "It opened on 25/05/1862."),
        ("1862-05-25", "May 25, 1862"),
        ("43 m", "It is 43 metres high."),
        ("20 °C", "twenty degrees Celsius"),
        ("60 km/h", "60 kilometres per hour"),
        ("£2m", "It cost two million pounds."),
        ("-5 degrees", "It is minus five degrees."),
        ("1990-1995", "From 1990 to 1995."),
        ("Louis XIV", "Louis the Fourteenth"),
        ("World War II", "It was WWII."),
        ("Louis XIV", "King Louis XIV of France"),
        ("北京", "首都是北京。"),
        ("서울", "서울은 수도이다."),
        ("Москва", "Столица — Москва."),
        ("#P", "The class #P."),
        ("1234人", "参加者は1,234人です。"),
    ],
)
def test_right_answers(gold: str, answer: str) -> None:
    assert verdict((gold,), answer) is Verdict.CORRECT


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("5", "35"),
        ("man", "Germany"),
        ("1862", "1863"),
        ("Ann Lee", "Ann Smith"),
        ("John Smith", "It was built by John Brown."),
        ("Pacific", ""),
        ("Pacific", "…!"),
        ("3.5 million", "35 million"),
        ("43 metres", "The tower is 433 metres high."),
        ("43 metres", "It is not 43 metres high, but 50."),
        ("18:40", "The last one leaves at 6:40 am."),
        ("9 May 1862", "It opened on 9 June 1862."),
        ("19th century", "It was built in 1733."),
        ("215 BC", "In 512 BC."),
        ("red, green and blue", "It is red and green."),
        ("did not have total power", "He had total power."),
        ("9 May 1862", "1862-06-09"),
        ("43 metres", "It is 43 feet high."),
        ("5 days", "It took 5 weeks."),
        ("$20", "It costs £20."),
        ("9 a.m.", "It opens at 9 pm."),
        ("-5 degrees", "It is 5 degrees."),
        ("5 degrees", "It is -5 degrees."),
        ("Louis XIV", "It was Louis XVI."),
        ("Louis XIV", "Louis the Sixteenth"),
        ("World War I", "It was in World War II."),
        ("World War II", "It was WWI."),
        ("#P", "Classes like IP and AM are interactive proof systems."),
        ("King's Cross", "The CrossCountry trains stop there."),
        ("北京", "首都是東京。"),
        ("パリ", "それはバリです。"),
    ],
)
def test_wrong_answers(gold: str, answer: str) -> None:
    assert verdict((gold,), answer) is Verdict.WRONG


@pytest.mark.parametrize(
    ("question", "gold", "wrong", "right"),
    [
        ("Hoe is het kantoor op maandag?", "geopend", "Het kantoor is niet geopend.", "Het kantoor is geopend."),
        ("Hur är kontoret?", "öppet", "Kontoret är inte öppet.", "Kontoret är öppet."),
        ("Hvordan er kontoret?", "åbent", "Kontoret er ikke åbent.", "Kontoret er åbent."),
        ("Jakie jest biuro?", "otwarte", "Biuro nie jest otwarte.", "Biuro jest otwarte."),
        ("Який офіс?", "відкритий", "Офіс не відкритий.", "Офіс відкритий."),
        ("कार्यालय कैसा है?", "खुला", "कार्यालय खुला नहीं है।", "कार्यालय खुला है।"),
        ("राजधानी?", "बेतियो", "बेतियो नहीं, तारावा है।", "तारावा नहीं, बेतियो है।"),
        ("كيف المكتب؟", "مفتوح", "المكتب ليس مفتوح.", "المكتب مفتوح."),
        ("دفتر چگونه است؟", "باز", "دفتر باز نیست.", "دفتر باز است."),
        ("מה מצב המשרד?", "פתוח", "המשרד לא פתוח.", "המשרד פתוח."),
        ("Bu ofis pazartesi günleri nasıl bir yerdir?", "açık", "Bu ofis açık değildir.", "Bu ofis bir yer: açık."),
        ("사무실은 어떻습니까?", "열려", "사무실은 열려 있지 않다.", "사무실은 열려 있다."),
        ("수도는 어디입니까?", "타라와", "수도는 타라와가 아니다.", "수도는 타라와이다."),
        ("办公室周一怎么样？", "开放", "办公室周一不开放。", "办公室周一开放。"),
        ("办公室周一怎么样？", "不开放", "办公室周一开放。", "办公室周一不开放。"),
        ("谁？", "约纳斯", "不是约纳斯。", "不，是约纳斯。"),
        ("料金は？", "公開", "未公開です。", "公開です。"),
        ("何造ですか？", "木造", "木造ではない。", "木造です。"),
        ("สำนักงานเป็นอย่างไร", "เปิด", "สำนักงานไม่เปิด", "สำนักงานเปิด"),
        ("几个人？", "三人", "十三人。", "有三人。"),
        ("何人ですか？", "十三", "三十三人です。", "十三人です。"),
        ("Когда?", "в марте 1867 года", "в мае 1867 года", "Март 1867"),
    ],
)
def test_opposites_other_numerals_and_other_months_are_wrong(question: str, gold: str, wrong: str, right: str) -> None:
    assert verdict((gold,), wrong, question) is Verdict.WRONG
    assert verdict((gold,), right, question) is Verdict.CORRECT


def test_may_is_a_month_only_where_it_is_written_as_one() -> None:
    question = "What may visitors do?"
    assert (
        verdict(("Visitors may enter the garden",), "The visitors can enter the garden.", question) is Verdict.CORRECT
    )
    assert overlap_features("When?", "on 9 may", "9 June")["other_month"] == 1
    assert overlap_features("When?", "early May", "early June")["other_month"] == 1


def test_a_word_of_the_question_does_not_stand_for_one_like_it() -> None:
    question = "Who was the first king of the Artaxiad dynasty?"
    assert verdict(("Artaxias",), "The first king of the Artaxiad dynasty was Tigranes.", question) is Verdict.WRONG
    assert verdict(("Artaxias",), "The first king of the Artaxiad dynasty was Artaxias.", question) is Verdict.CORRECT


def test_a_question_that_asks_what_is_not_so_may_be_answered_with_not() -> None:
    question = "Which baptisms are not valid?"
    assert verdict(("earlier ones",), "Those not valid are the earlier ones.", question) is Verdict.CORRECT


@pytest.mark.parametrize(
    ("gold", "answer", "expected"),
    [
        ("yes", "Yes, every day.", Verdict.CORRECT),
        ("Yes.", "No, never.", Verdict.WRONG),
        ("no", "No.", Verdict.CORRECT),
        ("no", "It opens at nine.", Verdict.UNGRADED),
        ("yes", "The answer is yes.", Verdict.CORRECT),
        ("no", "The correct answer is: no, it does not.", Verdict.CORRECT),
        ("no", "I would say yes.", Verdict.WRONG),
        ("yes", "There is no such island here.", Verdict.UNGRADED),
    ],
)
def test_yes_and_no(gold: str, answer: str, expected: Verdict) -> None:
    assert verdict((gold,), answer) is expected


@pytest.mark.parametrize(
    ("text", "alike"),
    [
        ("5/9/1862", "5/9/1862"),  # a day and a month, and no telling which is which
        ("45/9/1862", "45/9/1862"),
        ("$3.5m and €2 bn", "3.5 million dollars and 2 billion euros"),
        ("9 sq km, 3.5 ft", "9 square kilometers, 3.5 feet"),
        ("1990s, 5G, 12 in London", "1990s, 5G, 12 in London"),
        ("½ of ５ litres", "1⁄2 of 5 liters"),
    ],
)
def test_writings_of_one_thing_are_made_alike(text: str, alike: str) -> None:
    assert normalize_spelling(text) == alike
    assert normalize_spelling(alike) == alike


@pytest.mark.parametrize(
    ("word", "value"), [("xiv", 14), ("ix", 9), ("xxxix", 39), ("39", 39), ("", None), ("mix", None), ("iiii", None)]
)
def test_numerals(word: str, value: int | None) -> None:
    assert numeral_value(word) == value


def test_any_of_several_golds_will_do() -> None:
    assert verdict(("Atlantic", "Pacific"), "the Pacific") is Verdict.CORRECT
    assert verdict(("Atlantic", "Arctic"), "the Pacific") is Verdict.WRONG


@pytest.mark.parametrize("golds", [(), ("",), ("the",), ("?!",)])
def test_without_a_usable_gold_an_answer_is_ungraded(golds: tuple[str, ...]) -> None:
    assert verdict(golds, "anything") is Verdict.UNGRADED


def test_words_are_comparable() -> None:
    assert lexical.words_of("The 112,934 tonnes, of 2.5!") == ("the", "112934", "tonn", "of", "2.5")
    assert lexical.content_words("about the U.S. of 1,000 Towers") == ("usa", "1000", "tower")


@pytest.mark.parametrize(
    "text",
    ["", "的", "½ – ß", "a" * 10_000, "9" * 400, "1.2.3.4", "٣", "billion " * 60, "nine hundred " * 60, "\x00 \ud800"],
)
def test_odd_text_is_graded_without_an_error(text: str) -> None:
    for golds, answer in (((text,), "an answer"), (("a gold",), text), ((text,), text)):
        assert isinstance(verdict(golds, answer, text), Verdict)


def test_measures_lie_where_they_are_said_to() -> None:
    values = overlap_features("Who built it?", "John Smith", "It was built by John Brown.")
    assert values["own_recall"] == 0.5
    assert values["half"] == 1
    assert values["enough"] == 0
    assert all(0 <= value <= 1 for name, value in values.items() if name not in ("length", "long_recall"))


def test_it_agrees_with_gpt_4_1_on_real_answers(shared_data: Path) -> None:
    rows = [json.loads(line) for line in (shared_data / "graded_answers.jsonl").read_text("utf-8").splitlines()]
    grader = default_grader()
    said = [grader.grade(r["question"], (r["gold"],), r["answer"]) is Verdict.CORRECT for r in rows]
    judged = [r["correct"] for r in rows]
    agree = sum(a == b for a, b in zip(said, judged, strict=True)) / len(rows)
    p, q = sum(said) / len(rows), sum(judged) / len(rows)
    by_chance = p * q + (1 - p) * (1 - q)
    assert (agree - by_chance) / (1 - by_chance) >= 0.74  # Cohen's kappa
