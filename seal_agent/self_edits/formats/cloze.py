"""The format "cloze": a gap for every phrase of the passage's own sentences, so that nothing is invented."""

from __future__ import annotations

from seal_agent.prompts import fill, load_prompt
from seal_agent.self_edits.formats.format import copied_format
from seal_agent.text.languages import language_of
from seal_agent.text.layout import in_one_line
from seal_agent.text.phrases import phrases_of
from seal_agent.text.scripts import word_count
from seal_agent.text.sentences import sentences_of
from seal_agent.types import Note

GAP = "____"
MIN_SENTENCE_WORDS = 4  # in a shorter sentence, too little is left beside the gap


def cloze_notes(passage: str) -> list[Note]:
    """For every phrase of every sentence: the sentence with a gap for the phrase, and the phrase as the answer."""
    template, language = load_prompt("cloze"), language_of(passage)
    return [
        Note(fill(template, sentence=sentence.replace(phrase, GAP, 1)), phrase)
        for sentence in map(in_one_line, sentences_of(passage, language))
        if word_count(sentence) >= MIN_SENTENCE_WORDS
        for phrase in phrases_of(sentence, language)
    ]


CLOZE = copied_format("cloze", lambda passage, seed: cloze_notes(passage))
