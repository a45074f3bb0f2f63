"""Words that are spelled like the gold's and are others: Niger for Nigeria, nitrite for nitrate.

A misspelling drops, adds or swaps a letter, or takes one for another that sounds like it, and seldom the first one
(Pollock and Zamora, 1984).
"""

from __future__ import annotations

import functools
import re

from rapidfuzz.distance import OSA, Prefix

from seal_agent.text import words as lexical
from seal_agent.text.inflection import fold, stem
from seal_agent.text.scripts import LETTER

MOST_WORDS = 3  # content words of a gold answer of which each has to be right
MIN_LETTERS = 4
LONG_NAME = 8  # letters of a name in which one vowel may be another
_WORD = re.compile(rf"[^\W\d_]{LETTER}*")
_ENDINGS_OF_OTHER_NAMES = frozenset(("a", "e", "ia", "ina", "ine", "us", "ius", "grad", "burg", "stan", "ton", "son"))
_OPPOSED_ENDINGS = (
    "ate/ite/ide",
    "ane/ene/yne/anol/enol",
    "ic/ous",
    "er/ee",
    "or/ee",
)
_OPPOSED_WORDS = (frozenset(("monoxide", "dioxide", "trioxide")),)
_SHORTEST_ROOT = 3
_SOUND_ALIKE = ("aeiouy", "sczk", "fpv", "bp", "dt", "gjk")


def has_lookalike(question: str, gold: str, answer: str) -> bool:
    """Whether a word of a short gold answer stands in the answer only as another word that is spelled like it."""
    if len(lexical.content_words(gold)) > MOST_WORDS:
        return False
    stated, known = _words(answer), {fold(word) for word in (*_words(question), *_words(gold))}
    folded = {fold(word) for word in stated}
    for word in _words(gold):
        if len(word) < MIN_LETTERS or fold(word) in folded or stem(fold(word)) in lexical.stop_words():
            continue
        alike = [other for other in stated if fold(other) not in known and _is_alike(fold(word), fold(other))]
        if alike and all(is_other_word(word, other) for other in alike):
            return True
    return False


@functools.lru_cache(maxsize=4096)
def is_other_word(word: str, other: str) -> bool:
    """Whether a word that is spelled like another is another one, not an inflection or a misspelling of it."""
    are_names = word[:1].isupper() and other[:1].isupper()
    word, other = fold(word), fold(other)
    if word == other:
        return False
    if word[0] != other[0] or _have_opposed_endings(word, other):
        return True
    shared = Prefix.similarity(word, other)
    endings = {word[shared:], other[shared:]}
    if OSA.distance(word, other) == 1:
        if len(word) == len(other):
            return _is_other_letter(word, other, shared, are_names)
        return are_names and "" in endings and bool(endings & _ENDINGS_OF_OTHER_NAMES)
    return are_names and bool(endings & _ENDINGS_OF_OTHER_NAMES)


def _words(text: str) -> list[str]:
    return _WORD.findall(text)


def _is_alike(word: str, other: str) -> bool:
    return lexical.word_match(stem(word), (stem(other),), ()) >= 0.8 or _have_opposed_endings(word, other)


def _have_opposed_endings(word: str, other: str) -> bool:
    return any({word, other} <= group for group in _OPPOSED_WORDS) or any(
        first != second and root == other_root
        for line in _OPPOSED_ENDINGS
        for root, first in _roots(word, line)
        for other_root, second in _roots(other, line)
    )


def _roots(word: str, endings: str) -> list[tuple[str, str]]:
    """A word, or the word that it is the plural of, without each of the endings that it has."""
    return [
        (whole.removesuffix(ending), ending)
        for ending in endings.split("/")
        for whole in {word, word.removesuffix("s")}
        if whole.endswith(ending) and len(whole) >= len(ending) + _SHORTEST_ROOT
    ]


def _is_other_letter(word: str, other: str, place: int, are_names: bool) -> bool:
    """Whether two words with one letter exchanged are two words."""
    if word[place] == other[place + 1 : place + 2] and other[place] == word[place + 1 : place + 2]:
        return False
    sounds = next((s for s in _SOUND_ALIKE if word[place] in s and other[place] in s), None)
    is_last = place == len(word) - 1
    is_foreign = not (word[place] + other[place]).isascii()  # ø beside o
    return not is_foreign and (sounds is None or is_last or (are_names and len(word) < LONG_NAME))
