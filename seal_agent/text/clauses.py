"""Parts of a sentence: the one that some words mean, and the clause in which words stand."""

from __future__ import annotations

import functools
import re

from rapidfuzz import fuzz

from seal_agent.text.edges import EDGES, stripped, with_edges
from seal_agent.text.languages import ENGLISH
from seal_agent.text.scripts import MARK, WITHOUT_SPACES, word_count

# Words that begin a clause of their own.
_JOINTS = {
    "en": "that which who whom whose because while although whereas since when where after before unless if but",
    "de": "dass weil während obwohl damit wenn als nachdem bevor falls aber wobei",
    "fr": "que qui dont où parce car pendant quoique lorsque quand après avant mais si",
    "es": "que quien cuyo donde porque mientras aunque cuando después antes pero si",
    "ru": "что который которая которое которые чтобы потому пока хотя когда после перед но если где",
}
LIKE = 60  # percent; not tuned
_WORD, _CHARACTER = re.compile(r"\S+"), re.compile(r"\S")
_MARKS = r"[;:,、，；：—–()（）]"


def span_like(sentence: str, words: str, language: str = ENGLISH, *, cut: bool = False) -> str:
    """The part of a sentence that these words stand for, whole words; "" where less than `LIKE` percent is alike.

    A small model that reads "chickpeas" may write "chickens". What belongs to the words stays at their edges.

    Args:
        cut: Whether the words may end within a word. Outside English they always may; in Korean a particle follows.
    """
    wanted = words.strip(EDGES)
    if wanted in sentence:
        whole = _whole(sentence, wanted, language) if cut or language not in (ENGLISH, "ko") else wanted
        start = _place(sentence, words.strip(), wanted, whole)
        return with_edges(sentence, start, start + len(whole))
    piece = _CHARACTER if language in WITHOUT_SPACES else _WORD
    pieces, count = list(piece.finditer(sentence)), len(piece.findall(wanted))
    spans = [
        stripped(sentence, pieces[i].start(), pieces[i + length - 1].end(), EDGES)
        for length in range(max(1, count - 1), count + 2)
        for i in range(len(pieces) - length + 1)
    ]

    def likeness(span: tuple[int, int]) -> float:
        return fuzz.ratio(sentence[slice(*span)].casefold(), wanted.casefold())

    likest = max(spans, key=likeness, default=(0, 0))
    return with_edges(sentence, *likest) if likeness(likest) >= LIKE else ""


def _place(sentence: str, given: str, wanted: str, whole: str) -> int:
    """Where words stand in a sentence: with their edges as they were given, else between others, else anywhere."""
    place = sentence.find(given)
    if place >= 0 and sentence.startswith(whole, place + given.find(wanted)):
        return place + given.find(wanted)
    alone = re.search(rf"(?<!\w){re.escape(whole)}(?!\w)", sentence)
    return alone.start() if alone else sentence.find(whole)


def _whole(sentence: str, words: str, language: str) -> str:
    """Words that stand in a sentence, up to the end of the last one; where there are no spaces, with its marks."""
    if not words:
        return words
    goes_on = MARK if language in WITHOUT_SPACES else rf"(?:\w|{MARK})"
    rests = re.findall(rf"{re.escape(words)}({goes_on}*)", sentence)
    return words + min(rests, key=len, default="")


def clause_around(sentence: str, words: str, language: str = ENGLISH, most: int = 24) -> str:
    """The part of a sentence between marks and conjunctions that holds these words.

    The words themselves where the part has more than `most` words, or where they do not stand in the sentence.
    """
    start = sentence.find(words)
    if start < 0 or not words:
        return words
    start, stop = stripped(sentence, start, start + len(words), EDGES)
    before = [match.end() for match in _borders(language).finditer(sentence) if match.end() <= start]
    after = [match.start() for match in _borders(language).finditer(sentence) if match.start() >= stop]
    borders = stripped(sentence, max(before, default=0), min(after, default=len(sentence)), " .。")
    clause = with_edges(sentence, *borders)
    return clause if word_count(clause) <= most else words


@functools.cache
def _borders(language: str) -> re.Pattern[str]:
    joints = _JOINTS.get(language, "").split()
    # A comma or a colon between digits is a part of a number or a time.
    marks = rf"(?<!\d){_MARKS}|{_MARKS}(?!\d)"
    return re.compile("|".join([marks, rf"\s(?:{'|'.join(joints)})\s"]) if joints else marks)
