"""Words of an answer, made comparable: how much of a gold answer does another text say?"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Collection, Iterable

import snowballstemmer
from rapidfuzz.distance import Levenshtein
from text_to_num import alpha2digit

_stemmer = snowballstemmer.stemmer("english")
_WORD = re.compile(r"\d+(?:\.\d+)?|[^\W\d_]+")
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")  # Thai to Chinese
_SENTENCE = re.compile(r"(?<=[.!?])\s+")
_LIST = re.compile(r",(?!\d)|;|\band\b")
_CENTURY = re.compile(r"\b(\d{1,2})(?:st|nd|rd|th) centur")
_SAME_SPELLING = (  # how one thing is written in two ways; applied in this order to folded text
    (re.compile(r"(?<=[^\W\d_])['’]s\b"), ""),
    (re.compile(r"n['’]t\b"), " not"),
    (re.compile(r"\b(?:no|not) (?:more|less|fewer|later|earlier|exceeding|above|below|over|only|just)\b"), " "),
    (re.compile(r"[-–—/]"), " "),
    (re.compile(r"\bb\.?\s?c\.?\s?e\b\.?|\bb\.\s?c\b\.?"), " bc "),
    (re.compile(r"\bc\.?\s?e\b\.?|\ba\.?\s?d\b\.?(?=\s|$|[,;)])"), " "),
    (re.compile(r"(?<=\d),(?=\d{3}\b)"), ""),
    (re.compile(r"(?<=\d),(?=\d)"), "."),
    (re.compile(r"%"), " percent "),
    (re.compile(r"\$"), " dollar "),
    (re.compile(r"\b([a-z])\.(?=[a-z]\b)"), r"\1"),
    (re.compile(r"\b(?:a|one) dozen\b"), "12"),
)
_SCALED = re.compile(r"\b(\d+(?:\.\d+)?) (thousand|million|billion|trillion)\b")
_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_AFTERNOON = re.compile(r"\b(1[0-2]|[1-9]):([0-5]\d)\s?p\.?m\b")
_ORDINAL = re.compile(r"\b(\d+)(?:st|nd|rd|th|s)\b")
_ISE = re.compile(r"is(e|ed|es|ing|ation|ations)$")
_OUR = re.compile(r"(?<=\w{2})our$")
_SYNONYMS = {
    **dict.fromkeys(("us", "american", "america"), "usa"),
    **dict.fromkeys(("uk", "british"), "britain"),
    **dict.fromkeys(("metre", "metres", "meters"), "meter"),
    **dict.fromkeys(("kilometre", "kilometres", "kilometers", "km"), "kilometer"),
    **dict.fromkeys(("kilogram", "kilograms", "kilogrammes"), "kg"),
    "percentage": "percent",
    "mt": "mount",
    "mice": "mouse",
    "men": "man",
    "women": "woman",
    "children": "child",
    "feet": "foot",
    "teeth": "tooth",
}
_FUNCTION = (
    "a an the of to in on at by for from with and or as is are was were be been being it its this that these those "
    "which who whom whose what when where why how did do does done has have had he she his her they their them him i "
    "you we our your there than then so also into about over under up out not no if but because such can could "
    "might will would shall should some any all"
)
_QUALIFIER = (
    "after before around approximately approximate nearly roughly circa least most more less between within during "
    "year estimated s"
)
_TITLE = "mr mrs ms dr sir lady lord prof professor saint st"
MONTH_NAMES = "january february march april may june july august september october november december"
_NEGATION = frozenset(("not", "never", "no", "neither", "nor", "cannot"))


def _stemmed(words: str) -> frozenset[str]:
    return frozenset(_stemmer.stemWord(word) for word in words.split())


_LIGHT = _stemmed(f"{_FUNCTION} {_QUALIFIER} {_TITLE}")
MONTHS = _stemmed(MONTH_NAMES)


@functools.lru_cache(maxsize=4096)
def words_of(text: str) -> tuple[str, ...]:
    """Folded, stemmed words in order; numbers in digits, whether they were written in words, digits or as ordinals."""
    folded = unicodedata.normalize("NFKD", text.encode(errors="replace").decode()).casefold()
    plain = "".join(c for c in folded if not unicodedata.combining(c))
    for pattern, instead in _SAME_SPELLING:
        plain = pattern.sub(instead, plain)
    plain = _SCALED.sub(lambda found: f"{float(found[1]) * _SCALES[found[2]]:.0f}", plain)
    plain = _ORDINAL.sub(r"\1", alpha2digit(plain, "en", threshold=1))
    plain = _AFTERNOON.sub(lambda found: f"{int(found[1]) % 12 + 12}:{found[2]}", plain)
    return tuple(_word(found) for found in _WORD.findall(plain))


def content_of(text: str) -> tuple[str, ...]:
    """Without function words, qualifiers such as "about", and titles; all words where nothing else is left."""
    words = words_of(text)
    return tuple(word for word in words if word not in _LIGHT) or words


def items_of(text: str) -> list[tuple[str, ...]]:
    """Content words of the items of a list such as "red, green and blue"; one item where the text is no list."""
    return [content_of(part) for part in _LIST.split(text) if words_of(part)]


def first_sentence(text: str) -> str:
    return _SENTENCE.split(text.strip(), maxsplit=1)[0]


def negates(words: Iterable[str]) -> bool:
    return not _NEGATION.isdisjoint(words)


def is_number(word: str) -> bool:
    return word[0].isdigit()


def has_number(text: str) -> bool:
    """Whether one of the text's words is a number, in digits or written out."""
    return any(map(is_number, words_of(text)))


def nearness(word: str, said: Iterable[str], asked: Collection[str]) -> float:
    """How nearly a word is among those said, 0..1.

    1 for the word itself; less for another inflection, a misspelling, or an initial. A word of the question stands for
    no other word: "Artaxiad" in an answer that repeats the question does not say "Artaxias".
    """
    return max(
        (_alike(word, other) for other in said if other == word or word in asked or other not in asked), default=0
    )


def centuries(text: str) -> list[int]:
    """Those named: 19 for "the 19th century"."""
    return [int(n) for n in _CENTURY.findall(text.casefold())]


def in_century(word: str, century: int) -> bool:
    """Is it a year of that century (of our era)?"""
    return word.isdigit() and len(word) in (3, 4) and (century - 1) * 100 <= int(word) <= century * 100


def _word(raw: str) -> str:
    if is_number(raw):
        return raw.removesuffix(".0")
    word = _SYNONYMS.get(raw, raw)
    return str(_stemmer.stemWord(_OUR.sub("or", _ISE.sub(r"iz\1", word))))


@functools.lru_cache(maxsize=65536)
def _alike(word: str, other: str) -> float:
    if word == other:
        return 1.0
    if is_number(word) or is_number(other):
        return 0.0
    if _UNSPACED.search(word):
        return float(word in other)
    short = min(len(word), len(other))
    if short == 1:
        return 0.8 if word[0] == other[0] and other not in _LIGHT else 0.0
    if short < 4:
        return 0.0
    shared = next((i for i, (x, y) in enumerate(zip(word, other, strict=False)) if x != y), short)
    if shared >= 5 and shared >= short - 1:
        return 0.9
    if shared == short and abs(len(word) - len(other)) <= 5:  # "photograph" says "photo"; "cross-country" not "cross"
        return 0.8
    similarity = Levenshtein.normalized_similarity(word, other)
    return similarity if similarity >= 0.8 else 0.0
