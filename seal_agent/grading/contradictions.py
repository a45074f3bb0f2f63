"""What makes an answer wrong however many of the gold answer's words it has."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

from seal_agent.text import words as lexical
from seal_agent.text.spelling import numeral, unified


def contradicts(question: str, gold: str, answer: str) -> bool:
    """Whether the answer cannot be right however many of the gold's words it has.

    It says "not" shortly before the gold, or leaves out the gold's own "not" (but for questions with one); it says
    nothing of one item of a list of short ones; it gives the gold's first name with another surname, or number,
    or the gold's number with another unit or sign.
    """
    question, gold, answer = unified(question), unified(gold), unified(answer)
    asked, wanted, said = lexical.words_of(question), lexical.words_of(gold), lexical.words_of(answer)
    return (
        _denied(asked, wanted, said)
        or _incomplete(gold, said, asked)
        or _other_surname(gold, said, answer, asked)
        or _other_numeral(wanted, said)
        or _other_quantity(wanted, said)
    )


def _denied(asked: Sequence[str], wanted: Sequence[str], said: Sequence[str]) -> bool:
    if lexical.negates(asked):
        return False
    if lexical.negates(wanted):
        return not lexical.negates(said)
    own = next((i for i, word in enumerate(said) if word in wanted and word not in asked), 0)
    return lexical.negates(said[max(0, own - 3) : own])


def _incomplete(gold: str, said: Sequence[str], asked: Sequence[str]) -> bool:
    items = lexical.items_of(gold)
    if len(items) < 2 or max(len(item) for item in items) > 3:
        return False
    return any(not any(lexical.nearness(word, said, asked) for word in item) for item in items)


def _other_surname(gold: str, said: Sequence[str], answer: str, asked: Sequence[str]) -> bool:
    if not (name := _NAME.fullmatch(gold.strip())) or any(lexical.nearness(w, said, asked) for w in _one(name[2])):
        return False
    wanted = lexical.words_of(gold)
    return any(
        first in wanted and second not in wanted and second not in asked
        for pair in _PAIR.finditer(answer)
        for first, second in zip(_one(pair[1]), _one(pair[2]), strict=False)
    )


def _other_numeral(wanted: Sequence[str], said: Sequence[str]) -> bool:
    """Louis XVI, or the Sixteenth, for Louis XIV; a Louis without a number may be right."""
    for name, number in _numbered(wanted):
        if number.isalpha():
            others = {numeral(other) for found, other in _numbered(said) if found == name}
            if others and numeral(number) not in others:
                return True
    return False


def _numbered(words: Sequence[str]) -> list[tuple[str, str]]:
    """Words that a number follows, and which."""
    plain = [word for word in words if word != "the"]
    return [(a, b) for a, b in itertools.pairwise(plain) if a.isalpha() and numeral(b) is not None]


def _other_quantity(wanted: Sequence[str], said: Sequence[str]) -> bool:
    """One of the gold's numbers is said with another unit or sign, and nowhere with its own."""
    for number, unit in _quantities(wanted):
        others = {other for found, other in _quantities(said) if found == number}
        if others and unit not in others:
            return True
    signs = {number: sign for sign, number in _signed(wanted)}
    meant = {(sign, number) for sign, number in _signed(said)}
    return any((not sign, number) in meant and (sign, number) not in meant for number, sign in signs.items())


def _quantities(words: Sequence[str]) -> list[tuple[str, str]]:
    """Numbers that a unit follows."""
    return [(a, b) for a, b in itertools.pairwise(words) if lexical.is_number(a) and b in _UNITS]


def _signed(words: Sequence[str]) -> list[tuple[bool, str]]:
    """Whether a minus stands before a number, for each of them."""
    return [(before == "minus", word) for before, word in itertools.pairwise(("", *words)) if lexical.is_number(word)]


_UNITS = frozenset(
    lexical.words_of(
        "millimeters centimeters meters kilometers feet inches yards miles acres hectares milligrams grams kilograms "
        "tonnes tons pounds ounces milliliters liters gallons seconds minutes hours days weeks months years decades "
        "centuries percent degrees dollars cents euros yen square cubic am pm"
    )
)


_NAME = re.compile(r"(?:the )?((?:[A-Z][\w'’-]*\.? )+)(?![IVX]+\b)([A-Z][\w'’-]+)\.?")


_PAIR = re.compile(r"\b([A-Z][\w'’-]+) (?=([A-Z][\w'’-]+))")


def _one(name: str) -> tuple[str, ...]:
    return lexical.words_of(name)[:1]
