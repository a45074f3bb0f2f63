"""One way of writing for a question, a gold answer and an answer, so that their words can be compared."""

from __future__ import annotations

import functools

from seal_agent.text.clock_times import with_times_of
from seal_agent.text.fractions import with_fractions_of
from seal_agent.text.initials import with_names_of
from seal_agent.text.languages import ENGLISH
from seal_agent.text.normalization import normalize_spelling


@functools.lru_cache(maxsize=4096)
def written_alike(question: str, gold: str, answer: str, language: str = ENGLISH) -> tuple[str, str, str]:
    """The three texts with their spelling normalized, and the answer's times, fractions and names as in the gold."""
    question, gold, answer = (normalize_spelling(text, language) for text in (question, gold, answer))
    answer = with_times_of(gold, answer, language)
    if language == ENGLISH:
        answer = with_names_of(question, gold, with_fractions_of(gold, answer))
    return question, gold, answer
