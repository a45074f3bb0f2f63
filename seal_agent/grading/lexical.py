"""The lexical grader: compares words, needs no key and no model."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Collection, Mapping, Sequence

from seal_agent.grading.contradictions import contradicts
from seal_agent.grading.directness import surroundings
from seal_agent.grading.writing import written_alike
from seal_agent.text import words as lexical
from seal_agent.text.languages import ENGLISH, language_of
from seal_agent.types import Verdict

MIN_JOINED_LETTERS = 4  # of each of two words that may be written as one
_INITIAL = re.compile(r"\b([A-Z])(?:\.|(?= [A-Z]))")
_MAY = re.compile(  # within a sentence, or beside a number
    r"(?<![.!?:])\s[\"“'(]?May\b|\b[Mm]ay,? \d|\d(?:st|nd|rd|th)?,?(?: of)? [Mm]ay\b"
)
_YES_NO = {"yes": True, "true": True, "no": False, "false": False}
_YES_NO_BY_LANGUAGE = (
    _YES_NO,
    {"ja": True, "nein": False, "wahr": True, "falsch": False},
    {"oui": True, "non": False, "vrai": True, "faux": False},
    {"sí": True, "si": True, "no": False, "verdadero": True, "falso": False},
    {"да": True, "нет": False},
    {"是": True, "是的": True, "对": True, "不是": False, "否": False, "不": False},
)


class LexicalGrader:
    """Predicts a strong judge's verdict from the words of the answer. Implements Grader.

    An answer is correct if a logistic regression on eleven `overlap_features` gives it a probability above 0.5, and
    nothing in it `contradicts` the gold answer. The regression was fitted to GPT-4.1's verdicts on 3,224 answers that
    SEAL's authors published; `benchmarks/graders.py` fits and tests it. A gold answer of yes or no is compared with the
    answer's own yes or no. UNGRADED if no gold answer has a word to compare, or if it is yes or no and the answer is
    neither.
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

    def direct(self, question: str, golds: Sequence[str], answer: str) -> Verdict:
        """CORRECT if the answer is correct and singles out what was asked for; UNGRADED where `grade` is."""
        verdict = self.grade(question, golds, answer)
        if verdict is not Verdict.CORRECT:
            return verdict
        language = language_of(f"{question} {golds[0]} {answer}")
        conveyed = [gold for gold in golds if self.grade(question, [gold], answer) is Verdict.CORRECT]
        found = any(surroundings(question, gold, answer, language).singles_out for gold in conveyed)
        return Verdict.CORRECT if found else Verdict.WRONG

    def _compare(self, question: str, gold: str, answer: str) -> Verdict:
        if table := _yes_no_table(gold, f"{question} {answer}"):
            expected, stated = table[_bare(gold)], _find_yes_or_no(answer, table)
            if stated is None:
                return Verdict.UNGRADED
            return Verdict.CORRECT if stated is expected else Verdict.WRONG
        language = language_of(f"{question} {gold} {answer}")
        if contradicts(question, gold, answer, language):
            return Verdict.WRONG
        features = overlap_features(question, gold, answer, language)
        return Verdict.CORRECT if probability(features) > 0.5 else Verdict.WRONG


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


def probability(features: Mapping[str, float]) -> float:
    """Probability that a strong judge would call the answer correct, 0..1."""
    return 1 / (1 + math.exp(-INTERCEPT - sum(WEIGHTS[name] * value for name, value in features.items())))


def overlap_features(question: str, gold: str, answer: str, language: str = ENGLISH) -> dict[str, float]:
    """Features of the overlap between an answer and a gold answer, all in one language.

    Words are those of `lexical.content_words`. Own words are those that the question does not have. Recall is the share
    of the gold's words that the answer has; inflection and spelling may differ.

    enough          1 if recall is at least 0.7
    half            1 if recall is at least 0.5
    long_recall     recall times ln(1 + words of the gold)
    own_recall      recall of the gold's own words
    opening         recall of the answer's first sentence
    density         share of the answer's own words that the gold has
    extra           number of the answer's own words that the gold lacks, divided by 20, at most 1
    length          ln(1 + words of the answer)
    number          1 if the gold has a number
    number_missing  1 if the answer lacks a number of the gold
    other_month     1 if the answer lacks a month that the gold names
    """
    question, gold, answer = written_alike(question, gold, answer, language)
    question_words, initials = frozenset(lexical.words_of(question, language)), _initials(gold) | _initials(answer)
    gold_words, answer_words = lexical.content_words(gold, language), lexical.words_of(answer, language)
    hits = _hits(gold, gold_words, answer_words, question_words, initials)
    recall = _mean(hits.values())
    opening_words = lexical.words_of(lexical.first_sentence(answer), language)
    own_words = {word for word in lexical.content_words(answer, language) if word not in question_words}
    numbers = [word for word in hits if lexical.is_number(word)]
    return {
        "enough": float(recall >= 0.7),
        "half": float(recall >= 0.5),
        "long_recall": recall * math.log1p(len(hits)),
        "own_recall": _mean([hit for word, hit in hits.items() if word not in question_words] or hits.values()),
        "opening": _mean(_hits(gold, gold_words, opening_words, question_words, initials).values()),
        "density": len(own_words & hits.keys()) / max(1, len(own_words)),
        "extra": min(len(own_words - hits.keys()), 20) / 20,
        "length": math.log1p(len(answer_words)),
        "number": float(bool(numbers)),
        "number_missing": float(any(hits[word] < 1 for word in numbers)),
        "other_month": float(any(hits[word] < 1 for word in _months(gold, language) & hits.keys())),
    }


def _months(gold: str, language: str) -> frozenset[str]:
    """The months that may be meant by words of a gold answer: "may" only where it is written as one."""
    return lexical.MONTHS if language != ENGLISH or _MAY.search(gold) else lexical.MONTHS - {"may"}


def _mean(values: Collection[float]) -> float:
    return sum(values) / len(values)


def _hits(
    gold: str,
    gold_words: Sequence[str],
    answer_words: Sequence[str],
    question_words: frozenset[str],
    initials: frozenset[str],
) -> dict[str, float]:
    """How closely the answer matches each word of the gold, 0..1.

    A year of a century matches that century. A single letter matches a name only if it is an initial.
    """
    words = frozenset(answer_words)
    candidates = frozenset(word for word in words if len(word) > 1 or word in initials)
    joined = _joined(answer_words)
    hits = {
        word: lexical.word_match(word, candidates if len(word) > 1 or word in initials else (), question_words)
        or float(word in words or any(lexical.is_spelled_alike(word, compound) for compound in joined))
        for word in gold_words
    }
    for century in lexical.centuries(gold):
        if "bc" not in hits and any(lexical.in_century(word, century) for word in words):
            hits.update({word: 1.0 for word in (str(century), *lexical.words_of("century")) if word in hits})
    return hits


def _joined(words: Sequence[str]) -> frozenset[str]:
    """Neighbouring words written as one: "crosscountry" for "cross country"."""
    return frozenset(
        word + after for word, after in itertools.pairwise(words) if min(len(word), len(after)) >= MIN_JOINED_LETTERS
    )


def _initials(text: str) -> frozenset[str]:
    """Letters that stand for a name: the J of "J. Smith" and "J Smith", but not the P of "P versus NP"."""
    return frozenset(letter.casefold() for letter in _INITIAL.findall(text))


def _is_usable(gold: str) -> bool:
    return bool(re.fullmatch(r"A[+-]?", gold.strip(" ."))) or any(
        word not in ("a", "an", "the") for word in lexical.words_of(gold)
    )


def _bare(gold: str) -> str:
    return gold.strip().rstrip(".!。！").casefold()


def _yes_no_table(gold: str, rest: str) -> Mapping[str, bool] | None:
    """Words for yes and no in the gold's language, if that is one of them; "no" is Spanish beside Spanish text."""
    tables = [table for table in _YES_NO_BY_LANGUAGE if _bare(gold) in table]
    return tables[-1] if len(tables) > 1 and language_of(rest) == "es" else tables[0] if tables else None


def _find_yes_or_no(answer: str, table: Mapping[str, bool]) -> bool | None:
    """The yes or no that begins the answer, follows "the answer is", or ends it; None if there is none."""
    for pattern in (r"\W*(\w+)", r".*\banswer(?: \w+)? (?:is|was|would be):?\W*(\w+)", r".*?(\w+)\W*$"):
        match = re.match(pattern, answer, re.IGNORECASE | re.DOTALL)
        if match and match[1].casefold() in table:
            return table[match[1].casefold()]
    return None
