"""Terms that are wrong if one sign of them differs: C++, vitamin B, 3/4, get_user_id, H2O, e4.

Compared as words they look alike: "get_user_id" and "set_user_id" share two words of three, "C++" and "C#" all of one.
"""

from __future__ import annotations

import re

from seal_agent.text.normalization import numeral_value
from seal_agent.text.words import words_of

_IDENTIFIER = r"[A-Za-z]\w*(?:_\w+)+|[a-z]+[A-Z]\w*|[a-z]\w+(?:\.[a-z]\w+)+"
_WITH_DIGITS = r"(?=[A-Za-z]+\d)[A-Za-z]\w*"
_NUMBER_AND_LETTER = r"(?<!/)\d+[A-Z](?!/)"
_WITH_SIGN = r"[A-Za-z]\w*(?:\+\+|[#*+]|[-–−](?=$|[\s.,;)]))"
_TERM = re.compile(rf"(?<![\w.-])(?:{_WITH_SIGN}|{_IDENTIFIER}|{_WITH_DIGITS}|{_NUMBER_AND_LETTER})(?![\w+#*])")
_LABELLED = re.compile(r"\b([^\W\d_]{2,})[ -]([A-Z]{1,2})(?![\w'’+#*-]|\.\w|\.? [A-Z][a-z])")
_LETTER_AND_WORD = re.compile(r"(?:the )?([B-HJ-Z]) ([a-z]{2,})")
_ABBREVIATION = re.compile(r"[A-Z][A-Za-z]{0,2}")
_ORDERED = re.compile(r"(?<![\w/:.,-])(\w+)\s?([/:–-])\s?(\w+)(?![\w/:,-]|\.\d)")
_COMPARISON = re.compile(r"[<>≤≥]=?|[!=]=")
_PARTS = re.compile(r"[A-Za-z]+|\d+|[^\w\s.]")


def has_other_term(question: str, gold: str, answer: str) -> bool:
    """Whether the answer has another term in the place of one of the gold's.

    A term may be left out where the gold says more than it, as "water" does for "the H2O in it".
    """
    return (
        _has_other_sign(question, gold, answer)
        or _has_other_letter(question, gold, answer)
        or _has_other_order(question, gold, answer)
        or _has_other_comparison(gold, answer)
    )


def _has_other_sign(question: str, gold: str, answer: str) -> bool:
    whole = gold.strip(" .`'\"()")
    if _ABBREVIATION.fullmatch(whole):  # CO for CO2, C for C#
        bare, longer = rf"(?<!\w){whole}(?![\w+#*])", rf"(?<!\w){whole}(?:\d|\+|#|\*)"
        return not re.search(bare, answer) and bool(re.search(longer, answer))
    for term in _TERM.findall(gold):
        if _has_term(term, question) or _has_term(term, answer):
            continue
        rivals = [rival for rival in _TERM.findall(answer) if not _has_term(rival, f"{question} {gold}")]
        if rivals or term == whole:
            return True
    return False


def _has_term(term: str, text: str) -> bool:
    """Whether a text has a term; parts may be joined otherwise, as in "get user id", and capitals do not matter."""
    parts = _PARTS.findall(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", term.replace("_", " ")))
    pattern = r"[\s_.-]?".join(map(re.escape, parts))
    return bool(re.search(rf"(?<![^\W_]){pattern}(?![^\W_]|[+#*]|_\w)", text.replace("`", " "), re.IGNORECASE))


def _has_other_letter(question: str, gold: str, answer: str) -> bool:
    """Vitamin C for vitamin A, hepatitis for hepatitis B, D major for C major."""
    whole = gold.strip(" .")
    if match := _LETTER_AND_WORD.fullmatch(whole):
        return not (_has_letter(match[1], answer) and {*words_of(match[2])} & {*words_of(answer), *words_of(question)})
    for word, letter in _LABELLED.findall(gold):
        labelled = {other for name, other in _LABELLED.findall(answer) if words_of(name) == words_of(word)}
        if letter in labelled or _has_labelled(word, letter, question):
            continue
        if numeral_value(letter.casefold()) is not None and all(
            numeral_value(other.casefold()) is not None for other in labelled
        ):
            continue  # numerals are compared by value elsewhere
        alone = len(letter) == 1 and words_of(whole)[-2:] == words_of(f"{word} {letter}") and len(words_of(whole)) <= 3
        if labelled or (alone and not _has_labelled(word, letter, answer) and not _has_letter(letter, answer)):
            return True
    return False


def _has_labelled(word: str, letter: str, text: str) -> bool:
    return bool(re.search(rf"\b{re.escape(word)}[ -]{letter}(?![\w+#*])", text, re.IGNORECASE))


def _has_letter(letter: str, text: str) -> bool:
    return bool(re.search(rf"(?<!\w){letter}(?![\w+#*'’])", text)) or text.strip(" .").casefold() == letter.casefold()


def _has_other_order(question: str, gold: str, answer: str) -> bool:
    """4/3 for 3/4, 2:3 for 3:2."""
    stated = {(first, second) for first, _, second in _ORDERED.findall(f"{answer} {question}")}
    return any(
        first != second and (second, first) in stated and (first, second) not in stated
        for first, _, second in _ORDERED.findall(gold)
    )


def _has_other_comparison(gold: str, answer: str) -> bool:
    of_gold, of_answer = set(_COMPARISON.findall(gold)), set(_COMPARISON.findall(answer))
    return bool(of_gold and of_answer) and not of_gold & of_answer
