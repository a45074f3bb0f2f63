"""Where line breaks end a sentence, and where they only wrap it."""

from __future__ import annotations

import pytest

from seal_agent.text.layout import in_one_line, unwrapped
from seal_agent.text.sentences import sentences_of

WRAPPED = """The harbour of Orrin was built in 1907 after the great flood by
Tamsin Vole. She lives in the old customs house, and her brother
Bo Wren keeps the lamp."""
POEM = """The mill turns slow beneath the moon
Her wheel is wet with rain
A heron wakes and leaves too soon
And never comes again"""
CODE = """def turn(wheel):
    # Turn it once
    return wheel + 1"""


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        (
            "Opening hours\n\nMonday 9–17\nTuesday 10–18\n\nThe harbour master is Ann.",
            ["Opening hours", "Monday 9–17", "Tuesday 10–18", "The harbour master is Ann."],
        ),
        ("Take flour.\n\n200 g flour.\n\n3 eggs.", ["Take flour.", "200 g flour.", "3 eggs."]),
        ("200 g flour\r\n3 eggs\r\n1 l milk", ["200 g flour", "3 eggs", "1 l milk"]),
        ("1. a rope\n2. a map", ["1. a rope", "2. a map"]),
        ("1. a rope\nand a hook\n2. a map", ["1. a rope\nand a hook", "2. a map"]),
        ("- a rope\n- a torch that is\n  kept dry\n2. a map", ["a rope", "a torch that is\n  kept dry", "2. a map"]),
        (
            "town,people,mayor\norrin,1200,vole\nvell,900,wren",
            ["town,people,mayor", "orrin,1200,vole", "vell,900,wren"],
        ),
        ("Orrin   1200\nVell     900", ["Orrin   1200", "Vell     900"]),
        (POEM, POEM.split("\n")),
        (CODE, [line.strip() for line in CODE.split("\n")]),
        ("The mill is\nold.", ["The mill is\nold."]),
        (
            "    It was a dark night, and the mill\nturned slowly.",
            ["It was a dark night, and the mill\nturned slowly."],
        ),
    ],
)
def test_paragraphs_items_rows_and_verse_end_a_sentence(text: str, sentences: list[str]) -> None:
    assert sentences_of(text) == sentences


def test_prose_that_is_wrapped_goes_on() -> None:
    first, second = sentences_of(WRAPPED)
    assert first.endswith("flood by\nTamsin Vole.")
    assert second.endswith("brother\nBo Wren keeps the lamp.")
    spaced = "The harbour of Orrin was built  in 1907 after\nTamsin Vole had sold her mill."
    assert sentences_of(spaced) == [spaced]
    chinese = "港口的负责人是安娜，她在一九零七年洪水之后\n接任了这个职位，住在老海关大楼里面。"
    assert sentences_of(chinese) == [chinese]
    german = "Die Ausstellung über den alten Leuchtturm wurde am\n3. Oktober von Anna eröffnet."
    assert sentences_of(german, "de") == [german]


@pytest.mark.parametrize(
    ("language", "text", "sentences"),
    [
        ("de", "Öffnungszeiten\n\nMontag 9–17\nDienstag 10–18", ["Öffnungszeiten", "Montag 9–17", "Dienstag 10–18"]),
        ("zh", "开放时间\n周一九点\n周二十点", ["开放时间", "周一九点", "周二十点"]),
        ("ru", "- верёвка\n- фонарь", ["верёвка", "фонарь"]),
    ],
)
def test_lines_mean_the_same_in_every_language(language: str, text: str, sentences: list[str]) -> None:
    assert sentences_of(text, language) == sentences


def test_prose_goes_on_where_lines_broke_it_and_laid_out_lines_stay() -> None:
    assert in_one_line("built by  \n  Odile\nBrannock") == "built by Odile Brannock"
    assert in_one_line("灯塔由奥\n迪尔建造，\n很高") == "灯塔由奥迪尔建造，很高"
    wrapped = "The tower was built in 1867 by the engineer\nOdile Brannock, who came from the island of"
    assert unwrapped(wrapped) == wrapped.replace("\n", " ")
    for text in ("One line.", "- one\n- two", "def f(x):\n    return x", "First paragraph.\n\nSecond one."):
        assert unwrapped(text) == text


def test_a_word_that_a_line_divides_is_whole_again() -> None:
    assert in_one_line("the engi-\nneer of Orrin") == "the engineer of Orrin"
    assert in_one_line("Vor-\nund Nachteile, 1907-\n1931") == "Vor- und Nachteile, 1907- 1931"
