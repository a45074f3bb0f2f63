"""Whether an answer singles out what was asked for, or leaves it in a list, a table or a long quotation.

"Denver linebacker Von Miller was named Super Bowl MVP, recording five solo tackles, 2½ sacks, and two forced fumbles"
conveys how many tackles there were. A person who asked for that number has still to find it.
"""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from seal_agent.text.languages import ENGLISH
from seal_agent.text.phrases import phrases_of
from seal_agent.text.scripts import word_count
from seal_agent.text.sentences import sentences_of
from seal_agent.text.words import content_words, has_number

# Chosen on 100 + 70 answers judged by hand; `benchmarks/graders.py --quoted` shows how well they agree.
MANY_WORDS = 12  # own words of an answer in which other numbers hide the one asked for
LONG = 18  # own words of an answer that is a long quotation
LATE = 0.4  # share of a long quotation that is read before the gold answer comes
RIVAL_NUMBERS = 2  # other numbers beside the gold's
LISTED = 3  # neighbours of the gold in an enumeration
ITEM_WORDS = 4  # longest item of an enumeration

_BETWEEN_ITEMS = re.compile(r"[,;、]| and | or | und | oder | et | ou | y | o | и | или ")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What stands around the gold answer in an answer that conveys it."""

    own_words: int
    """Content words of the answer that neither the question nor the gold has."""
    rival_numbers: int
    """Phrases with other numbers; 0 where the gold has no number."""
    before: float
    """Share of the answer before the gold, 0..1; 0 where it says the gold in other words."""
    listed: int
    """Short items of an enumeration next to the gold."""

    @property
    def singles_out(self) -> bool:
        """Whether the answer singles out the gold."""
        among_numbers = self.rival_numbers >= RIVAL_NUMBERS and self.own_words >= MANY_WORDS
        buried = self.own_words >= LONG and self.before > LATE
        return not (among_numbers or buried or self.listed >= LISTED)


def surroundings(question: str, gold: str, answer: str, language: str = ENGLISH) -> Surroundings:
    """What stands around a gold answer in an answer that conveys it."""
    asked, wanted = {*content_words(question, language)}, {*content_words(gold, language)}
    place = answer.casefold().find(gold.strip(" .").casefold())
    return Surroundings(
        own_words=len({*content_words(answer, language)} - asked - wanted),
        rival_numbers=_rival_numbers(answer, asked, wanted, language) if has_number(gold, language) else 0,
        before=word_count(answer[:place]) / max(1, word_count(answer)) if place >= 0 else 0.0,
        listed=_listed(gold, answer, place) if place >= 0 else 0,
    )


def _rival_numbers(answer: str, asked: AbstractSet[str], wanted: AbstractSet[str], language: str) -> int:
    rivals = [
        {*content_words(phrase, language)} for phrase in phrases_of(answer, language) if has_number(phrase, language)
    ]
    return sum(not words & wanted and not words <= asked for words in rivals)


def _listed(gold: str, answer: str, place: int) -> int:
    """Short items beside the gold in its own sentence."""
    stop = place + len(gold)
    sentence = next((s for s in sentences_of(answer) if gold.strip(" .").casefold() in s.casefold()), answer)
    start = max(answer.find(sentence), 0)
    left = _BETWEEN_ITEMS.split(answer[start:place])[-3:-1]
    right = _BETWEEN_ITEMS.split(answer[stop : start + len(sentence)])[1:3]
    return sum(0 < len(item.split()) <= ITEM_WORDS for item in (*left, *right))
