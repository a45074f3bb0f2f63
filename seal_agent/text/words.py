"""Normalized words of a text, and how well the words of an answer match those of a gold answer."""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Iterable

from rapidfuzz.distance import OSA, Levenshtein
from text_to_num import alpha2digit

from seal_agent.text.inflection import (
    ENGLISH_MONTHS,
    fold,
    folded_function_words,
    is_negation,
    list_joints,
    stem,
    with_digits,
    with_english_months,
)
from seal_agent.text.languages import ENGLISH
from seal_agent.text.scripts import LETTER, NUMERAL, UNSPACED

MAX_ENDING = 5  # letters that two forms of one word differ by: "auto" and "automobile", not "cross" and "crosscountry"
MIN_SWAPPED_LETTERS = 8  # of a word in which two letters may be swapped
MIN_SHARED_PAIRS = 0.8  # share of neighbouring characters that a Chinese word may have in common with another
_WORD = re.compile(rf"\d+(?:\.\d+)?|[^\W\d_]{LETTER}*")
_NUMERAL = re.compile("[二两三四五六七八九十百千万]")  # 一 is an article more often than a number
_NUMERALS = re.compile(f"{NUMERAL.pattern}+")
_SENTENCE = re.compile(r"(?<=[.!?])\s+")
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
_OTHER_RULES = (  # the same for languages other than English
    (re.compile(r"\b(?:l|d|qu|n|s|j|c|m|t|dell|all|nell|sull|un)['’](?=\w)"), " "),
    (re.compile(r"[-–—/]"), " "),
    (re.compile(r"(?<=\d)[\u00a0\u202f ](?=\d{3}\b)"), ""),
    (re.compile(r"%|\b(?:prozent|por ciento|pour cent|per cento|por cento|процент\w*)\b"), " percent "),
    (re.compile(r"\$"), " dollar "),
    (re.compile(r"\b([^\W\d_])\.\s?(?=[^\W\d_]\b)"), r"\1"),
)
_COMMA_DECIMALS = "de fr es it pt nl sv da nb fi pl cs sk hu ro ca id tr vi ru uk bg el hy ka"
_COMMA_DECIMAL_RULES = (  # 1.234,5
    (re.compile(r"(?<=\d)\.(?=\d{3}\b)"), ""),
    (re.compile(r"(?<=\d),(?=\d)"), "."),
)
_POINT_DECIMAL_RULES = (  # 1,234.5; in India 1,50,000; between Arabic digits ٬ and ٫
    (re.compile(r"(?<=\d)[,٬](?=(?:\d\d[,٬])*\d{3}(?!\d))"), ""),
    (re.compile(r"(?<=\d)[,٫](?=\d)"), "."),
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


def _stemmed(words: str) -> frozenset[str]:
    return frozenset(stem(word) for word in words.split())


_STOP_WORDS = _stemmed(f"{_FUNCTION_WORDS} {_QUALIFIERS} {_TITLES}")
_ENGLISH_MONTHS = frozenset(ENGLISH_MONTHS.split())
MONTHS = _stemmed(ENGLISH_MONTHS)


@functools.lru_cache(maxsize=4096)
def words_of(text: str, language: str = ENGLISH) -> tuple[str, ...]:
    """The words of a text in order, folded and stemmed.

    Numbers are in digits, whether the text has them in digits, in words or as ordinals; names of months are English.
    """
    return _english_words(text) if language == ENGLISH else _other_words(text, language)


def _english_words(text: str) -> tuple[str, ...]:
    plain = fold(text)
    for pattern, replacement in _SPELLING_RULES:
        plain = pattern.sub(replacement, plain)
    plain = _SCALED.sub(lambda m: f"{float(m[1]) * _SCALES[m[2]]:.0f}", plain)
    plain = _ORDINAL.sub(r"\1", alpha2digit(plain, "en", threshold=1))
    plain = _AFTERNOON.sub(lambda m: f"{int(m[1]) % 12 + 12}:{m[2]}", plain)
    return tuple(_normal_form(word) for word in _WORD.findall(plain))


def _other_words(text: str, language: str) -> tuple[str, ...]:
    lowered = text.encode(errors="replace").decode().lower()
    plain = fold(with_english_months(with_digits(lowered, language), language))
    for pattern, replacement in (*_number_rules(language), *_OTHER_RULES):
        plain = pattern.sub(replacement, plain)
    return tuple(_normal_form(word, language) for word in _WORD.findall(plain))


def _number_rules(language: str) -> tuple[tuple[re.Pattern[str], str], ...]:
    return _COMMA_DECIMAL_RULES if language in _COMMA_DECIMALS.split() else _POINT_DECIMAL_RULES


def content_words(text: str, language: str = ENGLISH) -> tuple[str, ...]:
    """`words_of` without function words, qualifiers such as "about", and titles; all words if nothing else is left."""
    words = words_of(text, language)
    return tuple(word for word in words if word not in stop_words(language)) or words


def stop_words(language: str = ENGLISH) -> frozenset[str]:
    """The words that `content_words` leaves out, as `words_of` gives them."""
    return _STOP_WORDS if language == ENGLISH else folded_function_words(language)


def list_items(text: str, language: str = ENGLISH) -> list[tuple[str, ...]]:
    """The content words of each item of a list such as "red, green and blue"; one item if the text is no list."""
    return [content_words(part, language) for part in list_joints(language).split(text) if words_of(part, language)]


def first_sentence(text: str) -> str:
    """The text up to its first full stop, question mark or exclamation mark that white space follows."""
    return _SENTENCE.split(text.strip(), maxsplit=1)[0]


def negates(words: Iterable[str], language: str = ENGLISH) -> bool:
    """Whether one of the words is a negation such as "not"."""
    return any(is_negation(word, language) for word in words)


def is_number(word: str) -> bool:
    """Whether a word of `words_of` is a number."""
    return word[0].isdigit()


def has_number(text: str, language: str = ENGLISH) -> bool:
    """Whether a text has a number, in digits or written out."""
    return any(map(is_number, words_of(text, language))) or (language in ("zh", "ja") and bool(_NUMERAL.search(text)))


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


def is_spelled_alike(word: str, other: str) -> bool:
    """Whether two words differ by a letter in ten at most."""
    return bool(Levenshtein.normalized_similarity(word, other) >= 0.9)


def centuries(text: str) -> list[int]:
    """The centuries that a text names: 19 for "the 19th century"."""
    return [int(number) for number in _CENTURY.findall(text.casefold())]


def in_century(word: str, century: int) -> bool:
    """Whether a word is a year AD of a century."""
    return word.isdigit() and len(word) in (3, 4) and (century - 1) * 100 <= int(word) <= century * 100


def _normal_form(raw: str, language: str = ENGLISH) -> str:
    if is_number(raw):
        return raw.removesuffix(".0")
    if language != ENGLISH:
        return stem(raw) if raw in _ENGLISH_MONTHS else stem(raw, language)
    word = _SYNONYMS.get(raw, raw)
    return stem(_OUR.sub("or", _ISE.sub(r"iz\1", word)))


@functools.lru_cache(maxsize=65536)
def _similarity(word: str, other: str) -> float:
    if word == other:
        return 1.0
    if is_number(word) or is_number(other):
        return 0.0
    if UNSPACED.search(word):
        if _has_other_numeral(word, other):
            return 0.0
        return float(word in other) or _shared_pairs(word, other)
    length = min(len(word), len(other))
    if length == 1:
        return 0.8 if word[0] == other[0] and other not in _STOP_WORDS else 0.0
    if length < 4:
        return 0.0
    shared = next((i for i, (x, y) in enumerate(zip(word, other, strict=False)) if x != y), length)
    longer_by = abs(len(word) - len(other))
    if shared >= 5 and shared >= length - 1 and longer_by <= MAX_ENDING:
        return 0.9
    if shared == length and longer_by <= MAX_ENDING:  # "auto" matches "automobile"
        return 0.8
    # A swap of two letters counts as two letters in a short word: "trial" is no misspelling of "trail".
    similarity = (OSA if length >= MIN_SWAPPED_LETTERS else Levenshtein).normalized_similarity(word, other)
    return similarity if similarity >= 0.8 else 0.0


def _has_other_numeral(word: str, other: str) -> bool:
    """Whether a number within a Chinese or Japanese word is another one, or none, in the other word: 三 beside 十三."""
    theirs = _NUMERALS.findall(other)
    missing = [run for run in _NUMERALS.findall(word) if run not in theirs]
    return any(run != "一" or any("一" in other_run for other_run in theirs) for run in missing)


def _shared_pairs(word: str, other: str) -> float:
    """The share of pairs of neighbouring characters that another word has too; 0 below MIN_SHARED_PAIRS."""
    pairs = [word[i : i + 2] for i in range(len(word) - 1)]
    share = sum(pair in other for pair in pairs) / max(1, len(pairs))
    return share if share >= MIN_SHARED_PAIRS else 0.0
