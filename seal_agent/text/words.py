"""Normalized words of a text, and how well the words of an answer match those of a gold answer."""

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
_SPELLING_RULES = (  # spelling variants and their normal form, applied in this order to folded text
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
_FUNCTION_WORDS = (
    "a an the of to in on at by for from with and or as is are was were be been being it its this that these those "
    "which who whom whose what when where why how did do does done has have had he she his her they their them him i "
    "you we our your there than then so also into about over under up out not no if but because such can could "
    "might will would shall should some any all"
)
_QUALIFIERS = (
    "after before around approximately approximate nearly roughly circa least most more less between within during "
    "year estimated s"
)
_TITLES = "mr mrs ms dr sir lady lord prof professor saint st"
MONTH_NAMES = "january february march april may june july august september october november december"
_NEGATIONS = frozenset(("not", "never", "no", "neither", "nor", "cannot"))


def _stemmed(words: str) -> frozenset[str]:
    return frozenset(_stemmer.stemWord(word) for word in words.split())


_STOP_WORDS = _stemmed(f"{_FUNCTION_WORDS} {_QUALIFIERS} {_TITLES}")
MONTHS = _stemmed(MONTH_NAMES)


@functools.lru_cache(maxsize=4096)
def words_of(text: str) -> tuple[str, ...]:
    """The words of a text in order, folded and stemmed.

    Numbers are in digits, whether the text has them in digits, in words or as ordinals.
    """
    folded = unicodedata.normalize("NFKD", text.encode(errors="replace").decode()).casefold()
    plain = "".join(c for c in folded if not unicodedata.combining(c))
    for pattern, replacement in _SPELLING_RULES:
        plain = pattern.sub(replacement, plain)
    plain = _SCALED.sub(lambda m: f"{float(m[1]) * _SCALES[m[2]]:.0f}", plain)
    plain = _ORDINAL.sub(r"\1", alpha2digit(plain, "en", threshold=1))
    plain = _AFTERNOON.sub(lambda m: f"{int(m[1]) % 12 + 12}:{m[2]}", plain)
    return tuple(_normal_form(word) for word in _WORD.findall(plain))


def content_words(text: str) -> tuple[str, ...]:
    """`words_of` without function words, qualifiers such as "about", and titles; all words if nothing else is left."""
    words = words_of(text)
    return tuple(word for word in words if word not in _STOP_WORDS) or words


def list_items(text: str) -> list[tuple[str, ...]]:
    """The content words of each item of a list such as "red, green and blue"; one item if the text is no list."""
    return [content_words(part) for part in _LIST.split(text) if words_of(part)]


def first_sentence(text: str) -> str:
    """The text up to its first full stop, question mark or exclamation mark that white space follows."""
    return _SENTENCE.split(text.strip(), maxsplit=1)[0]


def negates(words: Iterable[str]) -> bool:
    """Whether one of the words is a negation such as "not"."""
    return not _NEGATIONS.isdisjoint(words)


def is_number(word: str) -> bool:
    """Whether a word of `words_of` is a number."""
    return word[0].isdigit()


def has_number(text: str) -> bool:
    """Whether a text has a number, in digits or written out."""
    return any(map(is_number, words_of(text)))


def word_match(word: str, answer_words: Iterable[str], question_words: Collection[str]) -> float:
    """How closely the best matching word of an answer matches `word`, 0..1.

    1 for the word itself; less for another inflection, a misspelling, or an initial. A question word matches only
    itself, unless `word` is in the question too: "Artaxiad", repeated from the question, does not match "Artaxias".
    """
    return max(
        (
            _similarity(word, other)
            for other in answer_words
            if other == word or word in question_words or other not in question_words
        ),
        default=0,
    )


def centuries(text: str) -> list[int]:
    """The centuries that a text names: 19 for "the 19th century"."""
    return [int(number) for number in _CENTURY.findall(text.casefold())]


def in_century(word: str, century: int) -> bool:
    """Whether a word is a year AD of a century."""
    return word.isdigit() and len(word) in (3, 4) and (century - 1) * 100 <= int(word) <= century * 100


def _normal_form(raw: str) -> str:
    if is_number(raw):
        return raw.removesuffix(".0")
    word = _SYNONYMS.get(raw, raw)
    return str(_stemmer.stemWord(_OUR.sub("or", _ISE.sub(r"iz\1", word))))


@functools.lru_cache(maxsize=65536)
def _similarity(word: str, other: str) -> float:
    if word == other:
        return 1.0
    if is_number(word) or is_number(other):
        return 0.0
    if _UNSPACED.search(word):
        return float(word in other)
    length = min(len(word), len(other))
    if length == 1:
        return 0.8 if word[0] == other[0] and other not in _STOP_WORDS else 0.0
    if length < 4:
        return 0.0
    shared = next((i for i, (x, y) in enumerate(zip(word, other, strict=False)) if x != y), length)
    if shared >= 5 and shared >= length - 1:
        return 0.9
    if shared == length and abs(len(word) - len(other)) <= 5:  # "auto" matches "automobile"
        return 0.8
    similarity = Levenshtein.normalized_similarity(word, other)
    return similarity if similarity >= 0.8 else 0.0
