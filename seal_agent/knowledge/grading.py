"""Is this answer right? Graders behind one small protocol."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from seal_agent.knowledge import lexical
from seal_agent.types import Verdict


class Grader(Protocol):
    """Compares an answer with every answer that counts as right."""

    def grade(self, question: str, golds: Sequence[str], answer: str) -> Verdict:
        """UNGRADED where the grader cannot tell; it is never a synonym of WRONG."""
        ...


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
INTERCEPT = -2.98
WEIGHTS: Mapping[str, float] = {
    "enough": 0.68,
    "half": 0.74,
    "long_recall": 0.16,
    "own_recall": 1.07,
    "opening": 1.19,
    "density": 1.94,
    "extra": -1.39,
    "length": 0.33,
    "number": 0.25,
    "number_missing": -1.55,
    "other_month": -5.99,
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
    asked = frozenset(lexical.words_of(question))
    wanted, said = lexical.content_of(gold), lexical.words_of(answer)
    hits = _hits(gold, wanted, said, asked)
    recall = _mean(hits.values())
    opening = lexical.words_of(lexical.first_sentence(answer))
    own = {word for word in lexical.content_of(answer) if word not in asked}
    numbers = [word for word in hits if lexical.is_number(word)]
    return {
        "enough": float(recall >= 0.7),
        "half": float(recall >= 0.5),
        "long_recall": recall * math.log1p(len(hits)),
        "own_recall": _mean([hit for word, hit in hits.items() if word not in asked] or hits.values()),
        "opening": _mean(_hits(gold, wanted, opening, asked).values()),
        "density": len(own & hits.keys()) / max(1, len(own)),
        "extra": min(len(own - hits.keys()), 20) / 20,
        "length": math.log1p(len(said)),
        "number": float(bool(numbers)),
        "number_missing": float(any(hits[word] < 1 for word in numbers)),
        "other_month": float(any(hits[word] < 1 for word in lexical.MONTHS & hits.keys())),
    }


def _mean(values: Collection[float]) -> float:
    return sum(values) / len(values)


def _hits(gold: str, wanted: Sequence[str], said: Sequence[str], asked: frozenset[str]) -> dict[str, float]:
    """Each of the gold's words, and how nearly it is said; a year says its century."""
    words = frozenset(said)
    hits = {word: lexical.found(word, words, asked) for word in wanted}
    for century in lexical.centuries(gold):
        if "bc" not in hits and any(lexical.in_century(word, century) for word in words):
            hits.update({word: 1.0 for word in (str(century), *lexical.words_of("century")) if word in hits})
    return hits


def contradicts(question: str, gold: str, answer: str) -> bool:
    """Whether the answer cannot be right however many of the gold's words it has.

    It says "not" shortly before the gold, or leaves out the gold's own "not" (but for questions with one); it says
    nothing of one item of a list of short ones; it gives the gold's first name with another surname.
    """
    asked, wanted, said = lexical.words_of(question), lexical.words_of(gold), lexical.words_of(answer)
    return _denied(asked, wanted, said) or _incomplete(gold, said, asked) or _other_surname(gold, said, answer, asked)


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


_NAME = re.compile(r"(?:the )?((?:[A-Z][\w'’-]*\.? )+)(?![IVX]+\b)([A-Z][\w'’-]+)\.?")
_PAIR = re.compile(r"\b([A-Z][\w'’-]+) (?=([A-Z][\w'’-]+))")


def _one(name: str) -> tuple[str, ...]:
    return lexical.words_of(name)[:1]


def _is_usable(gold: str) -> bool:
    return any(word not in ("a", "an", "the") for word in lexical.words_of(gold))


_YES_NO = {"yes": True, "true": True, "no": False, "false": False}


def _yes_or_no(gold: str) -> bool | None:
    return _YES_NO.get(gold.strip().rstrip(".!").casefold())


def _verdict_word(answer: str) -> bool | None:
    """What the answer opens with; None if that is neither yes nor no."""
    opening = re.match(r"\W*(\w+)", answer)
    return _YES_NO.get(opening[1].casefold()) if opening else None
