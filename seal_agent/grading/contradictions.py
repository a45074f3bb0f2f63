"""Contradictions: what makes an answer wrong even if it has all words of the gold answer."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

from seal_agent.grading.lookalikes import has_lookalike
from seal_agent.grading.negation import is_denied
from seal_agent.grading.opposites import has_opposite
from seal_agent.grading.terms import has_other_term
from seal_agent.grading.writing import written_alike
from seal_agent.text import words as lexical
from seal_agent.text.clock_times import has_other_time
from seal_agent.text.languages import ENGLISH
from seal_agent.text.normalization import numeral_value
from seal_agent.text.quantities import quantities, scales_of_temperature

_NAME = re.compile(r"(?:the )?((?:[A-Z][\w'’-]*\.? )+)(?![IVX]+\b)([A-Z][\w'’-]+)\.?")
_CAPITALIZED_PAIR = re.compile(r"\b([A-Z][\w'’-]+) (?=([A-Z][\w'’-]+))")


def contradicts(question: str, gold: str, answer: str, language: str = ENGLISH) -> bool:
    """Whether the answer is wrong however many words of the gold answer it has.

    It contradicts the gold if it
    - denies the gold, or lacks the gold's own negation (unless the question has a negation);
    - says the opposite of the same thing, such as after 1900 for before 1900, or North Korea for South Korea;
    - has a word that is only spelled like the gold's, such as Niger for Nigeria;
    - has another time of day;
    - leaves out an item of a list of short items;
    - gives the gold's first name with another surname or number;
    - gives the gold's number with another unit or sign;
    - has another term in place of the gold's, such as vitamin B for vitamin A, or C# for C++.
    """
    question, gold, answer = written_alike(question, gold, answer, language)
    question_words, gold_words = lexical.words_of(question, language), lexical.words_of(gold, language)
    answer_words = lexical.words_of(answer, language)
    return (
        is_denied(question, gold, answer, language)
        or has_opposite(question, gold, answer, language)
        or has_other_time(question, gold, answer, language)
        or (language == ENGLISH and has_lookalike(question, gold, answer))
        or _misses_item(gold, answer_words, question_words, language)
        or (language == ENGLISH and _has_other_surname(gold, answer_words, answer, question_words))
        or _has_other_numeral(gold_words, answer_words)
        or _has_other_quantity(gold_words, answer_words, language)
        or has_other_term(question, gold, answer)
    )


def _misses_item(gold: str, answer_words: Sequence[str], question_words: Sequence[str], language: str) -> bool:
    items = [item for item in lexical.list_items(gold, language) if item not in (("jr",), ("sr",))]
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


def _has_other_quantity(gold_words: Sequence[str], answer_words: Sequence[str], language: str) -> bool:
    """Whether a number of the gold has another unit or sign in the answer, and nowhere its own."""
    scales, without_scale = scales_of_temperature(language)
    stated = quantities(answer_words, language)
    for number, unit in quantities(gold_words, language):
        units = {other_unit for other, other_unit in stated if other == number}
        left_out = unit in without_scale and units <= without_scale and not {unit, *units} <= scales
        if units and unit not in units and not left_out:
            return True
    gold_signs = {number: negative for negative, number in _signed_numbers(gold_words)}
    answer_signed = set(_signed_numbers(answer_words))
    return any(
        (not negative, number) in answer_signed and (negative, number) not in answer_signed
        for number, negative in gold_signs.items()
    )


def _signed_numbers(words: Sequence[str]) -> list[tuple[bool, str]]:
    """Every number, and before it whether a minus stands there."""
    return [(before == "minus", word) for before, word in itertools.pairwise(("", *words)) if lexical.is_number(word)]


def _first_word(name: str) -> tuple[str, ...]:
    """The first word of a name; empty if it has none."""
    return lexical.words_of(name)[:1]
