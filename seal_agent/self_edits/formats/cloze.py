"""The format "cloze": a gap for every phrase of the passage's own sentences, so that nothing is invented."""

from __future__ import annotations

from seal_agent.prompts import fill, load_prompt
from seal_agent.self_edits.formats.format import copied_format
from seal_agent.text.languages import language_of, language_of_part
from seal_agent.text.layout import in_one_line
from seal_agent.text.phrases import partial_spans, words_beside
from seal_agent.text.scripts import UNSPACED, word_count
from seal_agent.text.sentences import sentences_of
from seal_agent.types import Note

GAP = "____"
MIN_SENTENCE_WORDS = 4  # in a shorter sentence, too little is left beside the gap
MIN_WORDS_BESIDE = 2


def cloze_notes(passage: str) -> list[Note]:
    """For every phrase of every sentence: the sentence with a gap for the phrase, and the phrase as the answer."""
    template, language = load_prompt("cloze"), language_of(passage)
    return [
        Note(fill(template, sentence=f"{sentence[:start]}{GAP}{sentence[stop:]}"), sentence[start:stop])
        for sentence in map(in_one_line, sentences_of(passage, language))
        if word_count(sentence) >= MIN_SENTENCE_WORDS
        for start, stop in _gaps(sentence, language_of_part(sentence, language))
    ]


def _gaps(sentence: str, language: str) -> list[tuple[int, int]]:
    """Where gaps may stand: at the first of equal phrases, with enough words beside it to say what is missing."""
    first: dict[str, tuple[int, int]] = {}
    for span in partial_spans(sentence, language, least=MIN_WORDS_BESIDE):
        first.setdefault(sentence[slice(*span)], span)
    whole = (span for span in first.values() if not _cuts_a_word(sentence, *span))
    return [span for span in whole if words_beside(sentence, span) >= MIN_WORDS_BESIDE]


def _cuts_a_word(sentence: str, start: int, stop: int) -> bool:
    """Whether a letter or digit goes on beside a span, as in "10am"; scripts without spaces are not asked."""
    return any(
        sentence[i].isalnum() and sentence[j : j + 1].isalnum() and not UNSPACED.search(sentence[i] + sentence[j])
        for i, j in ((start, start - 1), (stop - 1, stop))
        if j >= 0
    )


CLOZE = copied_format("cloze", lambda passage, seed: cloze_notes(passage))
