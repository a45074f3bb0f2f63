"""How probable it is that an adapter learnt what it is asked, from how it recalls and what the reader finds in that."""

from __future__ import annotations

import math
from dataclasses import dataclass

from seal_agent.answering.reading import Reading
from seal_agent.answering.recall import Asked, Recalled
from seal_agent.self_edits.asking import asking_words
from seal_agent.text.character_pairs import share_of_terms, terms_of
from seal_agent.text.languages import language_of
from seal_agent.text.scripts import WITHOUT_SPACES
from seal_agent.text.words import content_words


@dataclass(frozen=True, slots=True)
class Evidence:
    """What speaks for one recalled text as the answer to a question."""

    first: float
    """Log-probability of its first token."""
    mean: float
    """Mean log-probability of its tokens."""
    stated: float
    """Log-probability that it states an answer, by the reader."""
    shared: float
    """Share of the question's content words, apart from the title's, that it has.

    Pairs of characters take their place where words are not separated.
    """

    @property
    def score(self) -> float:
        """Higher for the text that rather holds the answer."""
        return self.first + self.stated + 2 * self.shared

    @property
    def confidence(self) -> float:
        """Probability that the adapter learnt what is asked."""
        return 1 / (1 + math.exp(-(2 + 10 * self.mean + self.stated + 2 * self.shared)))


def evidence_for(asked: Asked, recalled: Recalled, reading: Reading) -> Evidence:
    """What speaks for a recalled text."""
    shared = _shared(asked, recalled.text, language_of(f"{asked.question} {recalled.text}"))
    return Evidence(recalled.first, recalled.mean, math.log(max(1e-3, 1 - reading.not_stated)), shared)


def _shared(asked: Asked, text: str, language: str) -> float:
    if language in WITHOUT_SPACES:
        wanted = terms_of(asked.question, language, asking_words(language)) - terms_of(asked.title, language)
        return share_of_terms(wanted, text)
    words = {*content_words(asked.question, language)} - {*content_words(asked.title, language)}
    return len(words & {*content_words(text, language)}) / len(words) if words else 0.0
