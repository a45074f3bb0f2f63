"""Whether an answer denies the gold answer: a negation before it, behind it, or among its words."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from seal_agent.text import words as lexical
from seal_agent.text.inflection import (
    NEGATED_BEHIND,
    fold,
    folded_function_words,
    has_negation_inside,
    is_denied_inside,
    is_negation,
    list_joints,
    negates_verb,
)
from seal_agent.text.scripts import WITHOUT_SPACES

ALIKE = 0.8  # of a word and its inflections; not tuned
_BEFORE = 3  # words before the gold among which a negation denies it
_KOREAN_DENIED = fold("지")  # ends a verb that a negation follows
_ENDS = "。.!！?？"
_ONLY = frozenset(["nur", "seulement", "solo", "somente", "только", "alleen"])  # behind "not", no negation
_PURPOSE = "as om order para per por pour um чтобы щоб"
"""Of "in order not to", "para no": what is not to happen denies nothing."""
_MARK = r"[.!?]+(?=\s|$)|(?<!\d)[;:,]|[;:,](?!\d)|[—–()]"
_JOINTS = {  # that begin a clause without a mark before it
    "en": "that which who whom whose because while although whereas since when where after before unless if but",
    "fr": "que qui dont où parce car pendant quoique lorsque quand après avant mais si",
    "es": "que quien cuyo donde porque mientras aunque cuando después antes pero si",
    "it": "che chi cui dove perché mentre quando dopo prima ma se",
    "pt": "que quem cujo onde porque enquanto embora quando depois antes mas se",
}


def is_denied(question: str, gold: str, answer: str, language: str) -> bool:
    """Whether an answer denies the gold answer; never where the question has a negation."""
    question_words, gold_words = lexical.words_of(question, language), lexical.words_of(gold, language)
    answer_words = lexical.words_of(answer, language)
    if language in WITHOUT_SPACES and _is_denied_inside(question, gold, answer, language):
        return True
    if lexical.negates(question_words, language):
        return False
    if lexical.negates(gold_words, language):
        return not lexical.negates(answer_words, language)
    if language in NEGATED_BEHIND:
        return _is_negated_behind(gold_words, answer_words, language)
    return _is_negated_before(question_words, gold_words, answer_words, language) or _is_denied_by_verb(
        question, gold, answer, language
    )


def _is_negated_before(
    question_words: Sequence[str], gold_words: Sequence[str], answer_words: Sequence[str], language: str
) -> bool:
    hits = (i for i, word in enumerate(answer_words) if word in gold_words and word not in question_words)
    first_hit = next(hits, 0)
    before = answer_words[max(0, first_hit - _BEFORE) : first_hit]
    return "until" not in before and lexical.negates(before, language)


def _is_denied_by_verb(question: str, gold: str, answer: str, language: str) -> bool:
    """Whether the answer denies the gold wherever it names it: "Odile did not build it", "visitors cannot see it"."""
    every, asked = {*lexical.content_words(gold, language)}, {*lexical.content_words(question, language)}
    own = every - asked or every
    clauses = [lexical.words_of(clause, language) for clause in _borders(language).split(answer)]
    naming = [words for words in clauses if own.intersection(words)]
    return any(_has_negation_among(every, words, language) for words in naming) or (
        bool(naming) and all(_is_denial(_behind(own, words), own, asked, language) for words in naming)
    )


@functools.cache
def _purpose(language: str) -> frozenset[str]:
    return frozenset(lexical.words_of(_PURPOSE, language))


@functools.cache
def _borders(language: str) -> re.Pattern[str]:
    joints = _JOINTS.get(language, "").split()
    return re.compile("|".join([_MARK, rf"\b(?:{'|'.join(joints)})\b"]) if joints else _MARK)


def _behind(wanted: AbstractSet[str], words: Sequence[str]) -> Sequence[str]:
    """The words behind the last wanted one."""
    return words[max(i for i, word in enumerate(words) if word in wanted) + 1 :]


def _has_negation_among(wanted: AbstractSet[str], words: Sequence[str], language: str) -> bool:
    """Whether a clause has all wanted words, two at least, and a negated verb between them."""
    places = [i for i, word in enumerate(words) if word in wanted]
    return (
        len(wanted) > 1
        and wanted <= {*words}
        and any(negates_verb(word, language) for word in words[places[0] : places[-1]])
    )


def _is_denial(rest: Sequence[str], wanted: AbstractSet[str], asked: AbstractSet[str], language: str) -> bool:
    """Whether these words begin with a negated verb, and say little else than what the question asked."""
    passed_over = lexical.stop_words(language)
    for i, word in enumerate(rest):
        if negates_verb(word, language) or tuple(rest[i : i + 2]) == ("no", "longer"):
            behind = [other for other in rest[i + 1 :] if other not in passed_over | wanted]
            if _ONLY.intersection(rest[i + 1 : i + 2]) or _purpose(language).intersection(rest[:i]):
                return False
            named = [other for other in (*rest[:i], *behind) if lexical.word_match(other, asked, ()) >= ALIKE]
            return bool(named) or not asked or len(behind) <= 1
        if list_joints(language).fullmatch(word) or not (
            word in passed_over or lexical.word_match(word, asked, ()) >= ALIKE
        ):
            return False
    return False


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
