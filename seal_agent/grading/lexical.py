"""Is this answer right? Graders behind one small protocol."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence

from seal_agent.grading.contradictions import contradicts
from seal_agent.text import words as lexical
from seal_agent.text.spelling import unified
from seal_agent.types import Verdict


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
        word: lexical.nearness(word, names if len(word) > 1 or word in initials else (), asked) or float(word in words)
        for word in wanted
    }
    for century in lexical.centuries(gold):
        if "bc" not in hits and any(lexical.in_century(word, century) for word in words):
            hits.update({word: 1.0 for word in (str(century), *lexical.words_of("century")) if word in hits})
    return hits


_INITIAL = re.compile(r"\b([A-Z])(?:\.|(?= [A-Z]))")


def _initials(text: str) -> frozenset[str]:
    """Letters that stand for a name: the J of "J. Smith" and "J Smith", but not the P of "P versus NP"."""
    return frozenset(letter.casefold() for letter in _INITIAL.findall(text))


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
