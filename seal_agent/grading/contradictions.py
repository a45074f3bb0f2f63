"""Contradictions: what makes an answer wrong even if it has all words of the gold answer."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

from seal_agent.grading.terms import has_other_term
from seal_agent.text import words as lexical
from seal_agent.text.inflection import (
    NEGATED_BEHIND,
    fold,
    folded_function_words,
    has_negation_inside,
    is_denied_inside,
    is_negation,
)
from seal_agent.text.languages import ENGLISH
from seal_agent.text.normalization import normalize_spelling, numeral_value
from seal_agent.text.scripts import WITHOUT_SPACES

_UNITS = frozenset(
    lexical.words_of(
        "millimeters centimeters meters kilometers feet inches yards miles acres hectares milligrams grams kilograms "
        "tonnes tons pounds ounces milliliters liters gallons seconds minutes hours days weeks months years decades "
        "centuries percent degrees dollars cents euros yen square cubic am pm"
    )
)
_NAME = re.compile(r"(?:the )?((?:[A-Z][\w'’-]*\.? )+)(?![IVX]+\b)([A-Z][\w'’-]+)\.?")
_KOREAN_DENIED = fold("지")  # ends a verb that a negation follows
_ENDS = "。.!！?？"
ALIKE = 0.8  # of a word and its inflections; not tuned
_CAPITALIZED_PAIR = re.compile(r"\b([A-Z][\w'’-]+) (?=([A-Z][\w'’-]+))")


def contradicts(question: str, gold: str, answer: str, language: str = ENGLISH) -> bool:
    """Whether the answer is wrong however many words of the gold answer it has.

    It contradicts the gold if it
    - has a negation shortly before the gold, or lacks the gold's own (unless the question has a negation);
    - leaves out an item of a list of short items;
    - gives the gold's first name with another surname or number;
    - gives the gold's number with another unit or sign;
    - has another term in place of the gold's, such as vitamin B for vitamin A, or C# for C++.
    """
    question, gold, answer = normalize_spelling(question), normalize_spelling(gold), normalize_spelling(answer)
    question_words, gold_words = lexical.words_of(question, language), lexical.words_of(gold, language)
    answer_words = lexical.words_of(answer, language)
    return (
        _is_negated(question_words, gold_words, answer_words, language)
        or (language in WITHOUT_SPACES and _is_denied_inside(question, gold, answer, language))
        or _misses_item(gold, answer_words, question_words, language)
        or (language == ENGLISH and _has_other_surname(gold, answer_words, answer, question_words))
        or _has_other_numeral(gold_words, answer_words)
        or _has_other_quantity(gold_words, answer_words)
        or has_other_term(question, gold, answer)
    )


def _is_negated(
    question_words: Sequence[str], gold_words: Sequence[str], answer_words: Sequence[str], language: str
) -> bool:
    if lexical.negates(question_words, language):
        return False
    if lexical.negates(gold_words, language):
        return not lexical.negates(answer_words, language)
    if language in NEGATED_BEHIND:
        return _is_negated_behind(gold_words, answer_words, language)
    hits = (i for i, word in enumerate(answer_words) if word in gold_words and word not in question_words)
    first_hit = next(hits, 0)
    return lexical.negates(answer_words[max(0, first_hit - 3) : first_hit], language)


def _is_negated_behind(gold_words: Sequence[str], answer_words: Sequence[str], language: str) -> bool:
    """Whether a negation follows the gold, with nothing but function words between; in Korean, verbs in -지 too."""
    is_hit = [any(lexical.word_match(word, (other,), ()) >= ALIKE for word in gold_words) for other in answer_words]
    if True not in is_hit:
        return False
    behind = answer_words[len(is_hit) - is_hit[::-1].index(True) :]
    passed_over = folded_function_words(language)
    for word in behind:
        if is_negation(word, language):
            return True
        if word not in passed_over and not (language == "ko" and word.endswith(_KOREAN_DENIED)):
            return False
    return False


def _is_denied_inside(question: str, gold: str, answer: str, language: str) -> bool:
    """The same where words are not separated: 不开放 for 开放."""
    asked, wanted, said = ("".join(fold(text).split()).strip(_ENDS) for text in (question, gold, answer))
    if not wanted or has_negation_inside(asked, language):
        return False
    if has_negation_inside(wanted, language):
        return not has_negation_inside(said, language)
    return is_denied_inside(wanted, said, language)


def _misses_item(gold: str, answer_words: Sequence[str], question_words: Sequence[str], language: str) -> bool:
    items = lexical.list_items(gold, language)
    if len(items) < 2 or max(len(item) for item in items) > 3:
        return False
    return any(not any(lexical.word_match(word, answer_words, question_words) for word in item) for item in items)


def _has_other_surname(gold: str, answer_words: Sequence[str], answer: str, question_words: Sequence[str]) -> bool:
    name = _NAME.fullmatch(gold.strip())
    if not name or any(lexical.word_match(word, answer_words, question_words) for word in _first_word(name[2])):
        return False
    gold_words = lexical.words_of(gold)
    return any(
        first in gold_words and second not in gold_words and second not in question_words
        for pair in _CAPITALIZED_PAIR.finditer(answer)
        for first, second in zip(_first_word(pair[1]), _first_word(pair[2]), strict=False)
    )


def _has_other_numeral(gold_words: Sequence[str], answer_words: Sequence[str]) -> bool:
    """Louis XVI, or the Sixteenth, for Louis XIV; a Louis without a number may be right."""
    for name, number in _numbered_words(gold_words):
        if number.isalpha():
            values = {numeral_value(numeral) for word, numeral in _numbered_words(answer_words) if word == name}
            if values and numeral_value(number) not in values:
                return True
    return False


def _numbered_words(words: Sequence[str]) -> list[tuple[str, str]]:
    """Words that a number or Roman numeral follows, each with it."""
    without_article = [word for word in words if word != "the"]
    pairs = itertools.pairwise(without_article)
    return [(word, after) for word, after in pairs if word.isalpha() and numeral_value(after) is not None]


def _has_other_quantity(gold_words: Sequence[str], answer_words: Sequence[str]) -> bool:
    """Whether a number of the gold has another unit or sign in the answer, and nowhere its own."""
    for number, unit in _quantities(gold_words):
        units = {other_unit for other, other_unit in _quantities(answer_words) if other == number}
        if units and unit not in units:
            return True
    gold_signs = {number: negative for negative, number in _signed_numbers(gold_words)}
    answer_signed = set(_signed_numbers(answer_words))
    return any(
        (not negative, number) in answer_signed and (negative, number) not in answer_signed
        for number, negative in gold_signs.items()
    )


def _quantities(words: Sequence[str]) -> list[tuple[str, str]]:
    """Numbers that a unit follows, each with its unit."""
    pairs = itertools.pairwise(words)
    return [(number, unit) for number, unit in pairs if lexical.is_number(number) and unit in _UNITS]


def _signed_numbers(words: Sequence[str]) -> list[tuple[bool, str]]:
    """Every number, and before it whether a minus stands there."""
    return [(before == "minus", word) for before, word in itertools.pairwise(("", *words)) if lexical.is_number(word)]


def _first_word(name: str) -> tuple[str, ...]:
    """The first word of a name; empty if it has none."""
    return lexical.words_of(name)[:1]
