"""The passage's own sentences as notes: each alone, or all of them in another order.

A model that has learnt a passage by heart finds a fact by what stood before it. Alone under its title, or behind
another sentence each time, a fact is found by its subject.
"""

from __future__ import annotations

import random

from seal_agent.self_edits.formats.format import rearranged
from seal_agent.text.phrases import sentences_of
from seal_agent.types import Note

SHORTEST = 3  # words
ORDERS = 3  # our choice: as many tokens again as three readings of the passage


def sentence_notes(passage: str) -> list[Note]:
    """Every sentence of three words or more."""
    return [Note(sentence) for sentence in sentences_of(passage) if len(sentence.split()) >= SHORTEST]


def shuffled_notes(passage: str, seed: int = 0) -> list[Note]:
    """The whole passage in three other orders of its sentences; none where there is but one."""
    sentences, draw = sentences_of(passage), random.Random(seed)
    orders = {" ".join(draw.sample(sentences, len(sentences))) for _ in range(ORDERS)} - {" ".join(sentences)}
    return [Note(order) for order in sorted(orders)]


SENTENCES = rearranged("sentences", lambda passage, seed: sentence_notes(passage))
SHUFFLED = rearranged("shuffled", shuffled_notes)
