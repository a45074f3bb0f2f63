"""The clause of a sentence in which some words stand."""

from __future__ import annotations

import functools
import re

from seal_agent.text.languages import ENGLISH
from seal_agent.text.scripts import word_count

# Words that begin a clause of their own.
_JOINTS = {
    "en": "that which who whom whose because while although whereas since when where after before unless if but",
    "de": "dass weil während obwohl damit wenn als nachdem bevor falls aber wobei",
    "fr": "que qui dont où parce car pendant quoique lorsque quand après avant mais si",
    "es": "que quien cuyo donde porque mientras aunque cuando después antes pero si",
    "ru": "что который которая которое которые чтобы потому пока хотя когда после перед но если где",
}
_MARKS = r"[;:,、，；：—–()（）]"


def clause_around(sentence: str, words: str, language: str = ENGLISH, most: int = 24) -> str:
    """The part of a sentence between marks and conjunctions that holds these words.

    The words themselves where the part has more than `most` words, or where they do not stand in the sentence.
    """
    start = sentence.find(words)
    if start < 0 or not words:
        return words
    stop = start + len(words)
    before = [match.end() for match in _borders(language).finditer(sentence) if match.end() <= start]
    after = [match.start() for match in _borders(language).finditer(sentence) if match.start() >= stop]
    clause = sentence[max(before, default=0) : min(after, default=len(sentence))].strip(" .。")
    return clause if word_count(clause) <= most else words


@functools.cache
def _borders(language: str) -> re.Pattern[str]:
    joints = _JOINTS.get(language, "").split()
    # A comma or a colon between digits is a part of a number or a time.
    marks = rf"(?<!\d){_MARKS}|{_MARKS}(?!\d)"
    return re.compile("|".join([marks, rf"\s(?:{'|'.join(joints)})\s"]) if joints else marks)
