"""Is this answer right? Graders behind one small protocol."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Protocol, runtime_checkable

from seal_agent.knowledge import lexical
from seal_agent.knowledge.spelling import numeral, unified
from seal_agent.types import Verdict


class Grader(Protocol):
    """Compares an answer with every answer that counts as right."""

    def grade(self, question: str, golds: Sequence[str], answer: str) -> Verdict:
        """UNGRADED where the grader cannot tell; it is never a synonym of WRONG."""
        ...


Graded = tuple[str, Sequence[str], str]
"""A question, its golds, and an answer to it."""


@runtime_checkable
class BatchGrader(Grader, Protocol):
    """A grader that is faster with many answers at once."""

    def grade_all(self, items: Sequence[Graded]) -> list[Verdict]:
        """Verdicts in the order of the items."""
        ...


def grade_all(grader: Grader, items: Sequence[Graded]) -> list[Verdict]:
    """Verdicts in the order of the items, together where the grader can."""
    return grader.grade_all(items) if isinstance(grader, BatchGrader) else [grader.grade(*item) for item in items]


class LexicalGrader:
    """Compares words: no model, no key.

    Correct if the answer is more likely than not to be judged so, by a logistic regression on eleven `measures` of
    overlap, fitted to GPT-4.1's verdicts on 3,224 published answers (SEAL's authors'), and nothing in it `contradicts`
    the gold; `benchmarks/graders.py` fits and tests it. Yes and no are compared as such. Without a usable gold answer,
    or where a yes or no cannot be made out: UNGRADED.
    """

    def grade(self, question: str, golds: Sequence[str], answer: str) -> Verdict:
        usable = [gold for gold in golds if _is_usable(gold)]
        if not usable:
            return Verdict.UNGRADED
        if not lexical.words_of(answer):
            return Verdict.WRONG
        verdicts = [self._compare(question, gold, answer) for gold in usable]
        if Verdict.CORRECT in verdicts:
            return Verdict.CORRECT
        return Verdict.UNGRADED if Verdict.UNGRADED in verdicts else Verdict.WRONG

    def _compare(self, question: str, gold: str, answer: str) -> Verdict:
        if (expected := _yes_or_no(gold)) is not None:
            said = _verdict_word(answer)
            if said is None:
                return Verdict.UNGRADED
            return Verdict.CORRECT if said is expected else Verdict.WRONG
        if contradicts(question, gold, answer):
            return Verdict.WRONG
        return Verdict.CORRECT if probability(measures(question, gold, answer)) > 0.5 else Verdict.WRONG


def default_grader() -> Grader:
    """The grader used where none is given: no key, no model."""
    return LexicalGrader()


# Fitted by `python benchmarks/graders.py --fit` on ../shared/data/graded_answers.jsonl.
INTERCEPT = -2.92
WEIGHTS: Mapping[str, float] = {
    "enough": 0.69,
    "half": 0.68,
    "long_recall": 0.18,
    "own_recall": 1.10,
    "opening": 1.22,
    "density": 1.86,
    "extra": -1.35,
    "length": 0.31,
    "number": 0.23,
    "number_missing": -1.56,
    "other_month": -5.87,
}


def probability(measured: Mapping[str, float]) -> float:
    """That a strong judge would call the answer correct, 0..1."""
    return 1 / (1 + math.exp(-INTERCEPT - sum(WEIGHTS[name] * value for name, value in measured.items())))


def measures(question: str, gold: str, answer: str) -> dict[str, float]:
    """What an answer says of a gold answer, in numbers.

    Words are as `lexical.content_of` gives them; an answer's own words are those that the question does not have.
    Recall is the share of the gold's words that are said, inflection and spelling forgiven.

    enough          1 if recall is at least 0.7
    half            1 if recall is at least 0.5
    long_recall     recall times ln(1 + words of the gold)
    own_recall      recall of the gold's own words
    opening         recall by the answer's first sentence
    density         share of the answer's own words that are the gold's
    extra           own words of the answer that are not the gold's, 1 for twenty or more
    length          ln(1 + words of the answer)
    number          1 if the gold has a number
    number_missing  1 if one of them is not said
    other_month     1 if the gold names a month and the answer does not name it
    """
    question, gold, answer = unified(question), unified(gold), unified(answer)
    asked, initials = frozenset(lexical.words_of(question)), _initials(gold) | _initials(answer)
    wanted, said = lexical.content_of(gold), lexical.words_of(answer)
    hits = _hits(gold, wanted, said, asked, initials)
    recall = _mean(hits.values())
    opening = lexical.words_of(lexical.first_sentence(answer))
    own = {word for word in lexical.content_of(answer) if word not in asked}
    numbers = [word for word in hits if lexical.is_number(word)]
    return {
        "enough": float(recall >= 0.7),
        "half": float(recall >= 0.5),
        "long_recall": recall * math.log1p(len(hits)),
        "own_recall": _mean([hit for word, hit in hits.items() if word not in asked] or hits.values()),
        "opening": _mean(_hits(gold, wanted, opening, asked, initials).values()),
        "density": len(own & hits.keys()) / max(1, len(own)),
        "extra": min(len(own - hits.keys()), 20) / 20,
        "length": math.log1p(len(said)),
        "number": float(bool(numbers)),
        "number_missing": float(any(hits[word] < 1 for word in numbers)),
        "other_month": float(any(hits[word] < 1 for word in lexical.MONTHS & hits.keys())),
    }


def _mean(values: Collection[float]) -> float:
    return sum(values) / len(values)


def _hits(
    gold: str, wanted: Sequence[str], said: Sequence[str], asked: frozenset[str], initials: frozenset[str]
) -> dict[str, float]:
    """Each of the gold's words, and how nearly it is said; a year says its century, and only an initial a name."""
    words = frozenset(said)
    names = frozenset(word for word in words if len(word) > 1 or word in initials)
    hits = {
        word: lexical.found(word, names if len(word) > 1 or word in initials else (), asked) or float(word in words)
        for word in wanted
    }
    for century in lexical.centuries(gold):
        if "bc" not in hits and any(lexical.in_century(word, century) for word in words):
            hits.update({word: 1.0 for word in (str(century), *lexical.words_of("century")) if word in hits})
    return hits


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
    return any(not any(lexical.found(word, said, asked) for word in item) for item in items)


def _other_surname(gold: str, said: Sequence[str], answer: str, asked: Sequence[str]) -> bool:
    if not (name := _NAME.fullmatch(gold.strip())) or any(lexical.found(w, said, asked) for w in _one(name[2])):
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


_INITIAL = re.compile(r"\b([A-Z])(?:\.|(?= [A-Z]))")


def _initials(text: str) -> frozenset[str]:
    """Letters that stand for a name: the J of "J. Smith" and "J Smith", but not the P of "P versus NP"."""
    return frozenset(letter.casefold() for letter in _INITIAL.findall(text))


def _one(name: str) -> tuple[str, ...]:
    return lexical.words_of(name)[:1]


def _is_usable(gold: str) -> bool:
    return any(word not in ("a", "an", "the") for word in lexical.words_of(gold))


_YES_NO = {"yes": True, "true": True, "no": False, "false": False}


def _yes_or_no(gold: str) -> bool | None:
    return _YES_NO.get(gold.strip().rstrip(".!").casefold())


def _verdict_word(answer: str) -> bool | None:
    """What the answer opens with, calls its answer, or ends with; None if that is neither yes nor no."""
    for place in (r"\W*(\w+)", r".*\banswer(?: \w+)? (?:is|was|would be):?\W*(\w+)", r".*?(\w+)\W*$"):
        if (found := re.match(place, answer, re.IGNORECASE | re.DOTALL)) and found[1].casefold() in _YES_NO:
            return _YES_NO[found[1].casefold()]
    return None
