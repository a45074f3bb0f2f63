"""Parts of a sentence: the one that some words mean, and the clause in which words stand."""

from __future__ import annotations

import functools
import re

from rapidfuzz import fuzz

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
_EDGES = " ,.;:()\"'。，、；：\ufffd"  # the last stands for a part of a character
_MARKS = r"[;:,、，；：—–()（）]"


def span_like(sentence: str, words: str, language: str = ENGLISH, *, cut: bool = False) -> str:
    """The part of a sentence that these words stand for, whole words; "" where less than `LIKE` percent is alike.

    A small model that reads "chickpeas" may write "chickens".

    Args:
        cut: Whether the words may end within a word. Outside English they always may; in Korean a particle follows.
    """
    wanted = words.strip(_EDGES)
    if wanted in sentence:
        return _whole(sentence, wanted, language) if cut or language not in (ENGLISH, "ko") else wanted
    piece = _CHARACTER if language in WITHOUT_SPACES else _WORD
    pieces, count = list(piece.finditer(sentence)), len(piece.findall(wanted))
    spans = [
        sentence[pieces[i].start() : pieces[i + length - 1].end()].strip(_EDGES)
        for length in range(max(1, count - 1), count + 2)
        for i in range(len(pieces) - length + 1)
    ]
    likest = max(spans, key=lambda span: fuzz.ratio(span.casefold(), wanted.casefold()), default="")
    return likest if fuzz.ratio(likest.casefold(), wanted.casefold()) >= LIKE else ""


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
