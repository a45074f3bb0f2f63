"""Opposites: before and after a year, at least and at most a number, South and North of a name."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterator, Sequence

from seal_agent.text import words as lexical
from seal_agent.text.languages import ENGLISH

_QUALIFIERS: dict[str, tuple[tuple[str, str], ...]] = {  # each against its opposite
    "en": (
        ("before|prior to|until|till|within|by", "after|since|following"),
        (
            "at least|more than|over|above|no fewer than|no less than|not less than|a minimum of|minimum of|exceeding",
            "at most|less than|fewer than|under|below|no more than|not more than|up to|a maximum of|maximum of",
        ),
        ("with", "without"),
    ),
    "de": (
        ("vor|bis", "nach|seit"),
        ("mindestens|wenigstens|mehr als|über", "höchstens|maximal|weniger als|unter|bis zu"),
        ("mit", "ohne"),
    ),
    "fr": (
        ("avant|jusqu['’]à|jusqu['’]en", "après|depuis"),
        ("au moins|plus de", "au plus|moins de"),
        ("avec", "sans"),
    ),
    "es": (
        ("antes de|hasta", "después de|desde"),
        ("al menos|por lo menos|más de", "como máximo|menos de"),
        ("con", "sin"),
    ),
    "it": (
        ("prima di|prima del|fino al", "dopo|dopo il|dal"),
        ("almeno|più di", "al massimo|meno di"),
        ("con", "senza"),
    ),
    "pt": (
        ("antes de|até", "depois de|após|desde"),
        ("pelo menos|mais de", "no máximo|menos de"),
        ("com", "sem"),
    ),
    "nl": (
        ("voor|tot", "na|sinds"),
        ("minstens|meer dan|boven", "hoogstens|minder dan|onder"),
        ("met", "zonder"),
    ),
    "ru": (
        ("до", "после|с"),
        ("не менее|более|больше|свыше", "не более|менее|меньше"),
        ("с", "без"),
    ),
}
_EXCLUSIVE = {  # of each line, one word at most is true of what it stands before
    "en": (
        "north|northern south|southern east|eastern west|western northeast|northeastern northwest|northwestern "
        "southeast|southeastern southwest|southwestern",
        "red white black blue green yellow brown pink purple orange grey|gray",
        "odd even",
        "upper lower",
        "left right",
        "male female",
        "inner outer",
        "internal external",
        "major minor",
        "mr mrs|ms|miss|lady",
        "king queen",
        "prince princess",
        "public private",
        "hot cold",
        "spring summer autumn|fall winter",
        "maternal paternal",
        "old new",
    ),
    "de": ("nördlich südlich östlich westlich", "rot weiß schwarz blau grün gelb braun", "gerade ungerade"),
    "fr": ("nord sud est ouest", "rouge blanc noir bleu vert jaune brun", "pair impair"),
    "es": ("norte sur este oeste", "rojo|tinto blanco negro azul verde amarillo", "par impar"),
}
_NAME_BEHIND = ("fr", "es")
"""Languages in which such a word follows: Corea del Norte."""
_DAYS = frozenset(lexical.words_of("Monday Tuesday Wednesday Thursday Friday Saturday Sunday"))
_NEW = re.compile(r"(?:the )?([A-Z][a-z]+)\.?")


def has_opposite(question: str, gold: str, answer: str, language: str = ENGLISH) -> bool:
    """Whether an answer says the opposite of a gold answer of the same thing."""
    return (
        _has_opposite_qualifier(gold, answer, language)
        or _has_exclusive_word(gold, answer, language)
        or (language == ENGLISH and (_is_new_one(question, gold, answer) or _has_other_day(question, gold, answer)))
    )


def _has_opposite_qualifier(gold: str, answer: str, language: str) -> bool:
    """Before for after, at most for at least: whether the same word follows."""
    qualified, stated = {*_qualified(gold, language)}, {*_qualified(answer, language)}
    return any((pair, not side, word) in stated and (pair, side, word) not in stated for pair, side, word in qualified)


def _qualified(text: str, language: str) -> Iterator[tuple[int, bool, str]]:
    """Which pair of qualifiers, which side of it, and the word that it stands before."""
    for pair, sides in enumerate(_qualifier_patterns(language)):
        for side, pattern in enumerate(sides):
            for match in pattern.finditer(text):
                for word in lexical.content_words(match["rest"], language)[:1]:
                    yield pair, bool(side), word


@functools.cache
def _qualifier_patterns(language: str) -> tuple[tuple[re.Pattern[str], re.Pattern[str]], ...]:
    def pattern(words: str) -> re.Pattern[str]:
        longest_first = sorted(words.split("|"), key=len, reverse=True)
        return re.compile(
            rf"(?<!\w)(?:{'|'.join(longest_first)})(?!\w)(?=(?P<rest>[^,;.!?]*(?:[.,]\d+)*))", re.IGNORECASE
        )

    return tuple((pattern(first), pattern(second)) for first, second in _QUALIFIERS.get(language, ()))


def _has_exclusive_word(gold: str, answer: str, language: str) -> bool:
    """North Korea for South Korea, white wine for red wine; not where the answer has the gold's word too."""
    answer_words = lexical.words_of(answer, language)
    stated = {*_pairs(answer_words, language)}
    for word, name in _pairs(lexical.words_of(gold, language), language):
        rivals = _rivals(word, language)
        if rivals and word not in answer_words and any((rival, name) in stated for rival in rivals):
            return True
    return False


def _pairs(words: Sequence[str], language: str) -> list[tuple[str, str]]:
    """Neighbouring words, the describing one first."""
    if language in _NAME_BEHIND:
        words = [word for word in words if word not in lexical.stop_words(language) or _rivals(word, language)]
        return [(after, word) for word, after in itertools.pairwise(words)]
    return list(itertools.pairwise(words))


@functools.lru_cache(maxsize=4096)
def _rivals(word: str, language: str) -> frozenset[str]:
    """The words that exclude a word of `words_of`."""
    rivals: set[str] = set()
    for line in _EXCLUSIVE.get(language, ()):
        groups = [{*lexical.words_of(group.replace("|", " "), language)} for group in line.split()]
        if any(word in group for group in groups):
            rivals.update(*(group for group in groups if word not in group))
    return frozenset(rivals)


def _is_new_one(question: str, gold: str, answer: str) -> bool:
    """New Mexico for Mexico."""
    name = _NEW.fullmatch(gold.strip())
    if not name or f"New {name[1]}" in question:
        return False
    mentions = re.findall(rf"(\bNew )?\b{name[1]}\b", answer)
    return bool(mentions) and all(mentions)


def _has_other_day(question: str, gold: str, answer: str) -> bool:
    """Whether an answer lacks a day of the gold, and has one that neither the gold nor the question has."""
    asked, wanted, stated = (_DAYS.intersection(lexical.words_of(text)) for text in (question, gold, answer))
    return bool(wanted - stated and stated - wanted - asked)
