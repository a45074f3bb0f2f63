"""The formats "sentences" and "shuffled": the passage's own sentences, each alone, or all of them in another order.

A model that has memorized a passage recalls a fact after the text that stood before it. If the fact stands alone under
the title, or after another sentence each time, the model recalls it by its subject.
"""

from __future__ import annotations

import random

from seal_agent.self_edits.formats.format import copied_format
from seal_agent.text.languages import language_of
from seal_agent.text.layout import in_one_line
from seal_agent.text.scripts import UNSPACED, word_count
from seal_agent.text.sentences import sentences_of
from seal_agent.types import Note

MIN_WORDS = 3
ORDERS = 3  # not tuned; as many tokens as reading the passage three more times


def sentence_notes(passage: str) -> list[Note]:
    """Every sentence of three words or more."""
    return [Note(in_one_line(sentence)) for sentence in sentences_of(passage) if word_count(sentence) >= MIN_WORDS]


def shuffled_notes(passage: str, seed: int = 0) -> list[Note]:
    """The passage in at most three other orders of its sentences; none if it has only one sentence."""
    sentences, draw = [in_one_line(sentence) for sentence in sentences_of(passage)], random.Random(seed)
    space = "" if UNSPACED.search(passage) and language_of(passage) in ("zh", "ja") else " "
    orders = {space.join(draw.sample(sentences, len(sentences))) for _ in range(ORDERS)} - {space.join(sentences)}
    return [Note(order) for order in sorted(orders)]


SENTENCES = copied_format("sentences", lambda passage, seed: sentence_notes(passage))
SHUFFLED = copied_format("shuffled", shuffled_notes)
