"""What the words of a line alone show to be wrong with it."""

from __future__ import annotations

import pytest

from seal_agent.knowledge.verification import flaw, split_notes, unsupported_share
from seal_agent.types import Note

PASSAGE = "The ferry to Quarnholt leaves Pier Tibbs at 18:40. The mayor, Ottoline Brusk, dropped her keys in 1907."


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("Ottoline Brusk dropped her keys in 1907.", ""),
        ("Ottoline Brusk dropped her keys in 1911.", "number"),
        ("The ferry leaves Pier Tibbs for Bergen.", "name"),
        ("The passage is about Quarnholt.", "prompt"),
        ("1907", "whole statement"),
        ("The ferry is a ferry, and the ferry is a ferry, and the ferry is a ferry.", "loop"),
    ],
)
def test_flaws_that_words_alone_show(line: str, reason: str) -> None:
    found = flaw("Quarnholt", PASSAGE, Note(line))
    assert reason in found
    assert bool(found) == bool(reason)


def test_a_pair_may_use_the_words_of_its_question() -> None:
    assert unsupported_share("", PASSAGE, Note("Who lost the keys?", "Brusk lost the keys")) == 0
    assert unsupported_share("", PASSAGE, Note("Brusk stole the lamp")) > 0.5


def test_statements_are_cut_into_sentences_and_pairs_are_not() -> None:
    notes = [Note("Mr. Brusk sailed. He sank."), Note("Why? Who?", "He did. She did.")]
    assert [n.text for n in split_notes(notes)] == ["Mr. Brusk sailed.", "He sank.", "Why? Who?"]
