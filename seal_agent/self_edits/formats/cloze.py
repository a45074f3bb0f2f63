"""Gaps in the passage's own sentences: every phrase is asked for once, and nothing is invented."""

from __future__ import annotations

from seal_agent.prompts import fill, load_prompt
from seal_agent.self_edits.formats.format import rearranged
from seal_agent.text.phrases import phrases_of, sentences_of
from seal_agent.types import Note

GAP = "____"
SHORTEST_SENTENCE = 4  # words; in a shorter one the gap leaves nothing to go by


def cloze_notes(passage: str) -> list[Note]:
    """For every phrase of every sentence, the sentence with a gap in its place; the phrase is the answer."""
    template = load_prompt("cloze")
    return [
        Note(fill(template, sentence=sentence.replace(phrase, GAP, 1)), phrase)
        for sentence in sentences_of(passage)
        if len(sentence.split()) >= SHORTEST_SENTENCE
        for phrase in phrases_of(sentence)
    ]


CLOZE = rearranged("cloze", lambda passage, seed: cloze_notes(passage))
