"""Tells whether a note denies what its passage says, or says what the passage denies."""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from seal_agent.text.inflection import (
    NEGATED_BEHIND,
    fold,
    has_negation_inside,
    is_negation,
    without_negation_inside,
)
from seal_agent.text.scripts import WITHOUT_SPACES
from seal_agent.text.words import stop_words, word_match, words_of

ALIKE = 0.8  # of a word and its inflections; not tuned
MIN_CONTENT_WORDS = 2  # of a note; with fewer, nothing shows which sentence it is about
MIN_CHARACTERS = 4  # the same in a script without spaces
_CLAUSE_END = re.compile(
    r"[;:,()—–](?=\s|$)|\b(?:but|aber|sondern|mais|pero|sino|però|mas|но|а|maar|men)\b", re.IGNORECASE
)
_OTHER_NEGATIONS = {  # those that stand for a noun
    "en": "none nothing nowhere nobody",
    "de": "niemand nichts",
    "fr": "personne rien",
    "es": "nadie nada ninguno",
    "it": "nessuno niente nulla",
    "pt": "ninguém nada",
    "ru": "никто ничто ничего никого",
    "nl": "niemand niets",
}
_EXCEPTIONS = {  # words that limit or turn round a negation
    "en": "until unless except without only longer unlike instead rather lack fail refuse hardly just yet",
    "de": "außer nur bevor ohne erst mehr statt anders sonst kaum",
    "fr": "que sauf sans plus seulement contrairement",
    "es": "hasta salvo sin excepto sólo solo más",
    "it": "finché tranne senza solo più",
    "pt": "até exceto sem só somente mais",
    "ru": "кроме до только пока без больше",
    "nl": "behalve alleen zonder tot meer",
}


def denial(claim: str, sentences: Sequence[str], title: str, language: str) -> str:
    """How a claim and the sentences that have all its words differ in their negation; "" if they do not.

    Where a sentence limits its negation ("not until", "no longer"), or where no sentence has all words, nothing is
    said: another wording may turn a negation round, as "closed" does with "not open".
    """
    if language in WITHOUT_SPACES:
        return _denial_inside(claim, sentences, language)
    note = _statement(claim, language)
    if len(note.words) < MIN_CONTENT_WORDS:
        return ""
    known = {*words_of(title, language)}
    same = [
        read for sentence in sentences if _has_all(note.words, (read := _statement(sentence, language)).words, known)
    ]
    if not same or any(statement.limited for statement in (note, *same)):
        return ""
    if note.denied:
        is_denied = any(_has_some(_statement(sentence, language).denied, note.denied) for sentence in sentences)
        within = any(s.denied and not _has_all(note.words, s.outside, known) for s in same)
        return "" if is_denied or within else "denies what the passage says"
    if all(_denies(statement, note, known) for statement in same):
        return "says what the passage denies"
    return ""


@dataclass(frozen=True, slots=True)
class _Statement:
    """The content words of a sentence; those that a negation stands before, and those outside its reach."""

    words: frozenset[str]
    denied: frozenset[str]
    outside: frozenset[str]
    limited: bool


@functools.lru_cache(maxsize=4096)
def _statement(text: str, language: str) -> _Statement:
    words: set[str] = set()
    denied: set[str] = set()
    outside: set[str] = set()
    for clause in _CLAUSE_END.split(text):
        clause_words = words_of(clause, language)
        free, reached = _by_reach(clause_words, language)
        words |= {*free, *reached}
        outside |= {*free}
        denied |= {*reached[:1]}
    limits = _as_words(_EXCEPTIONS.get(language, ""), language)
    return _Statement(
        frozenset(words), frozenset(denied), frozenset(outside), not limits.isdisjoint(words_of(text, language))
    )


def _by_reach(words: Sequence[str], language: str) -> tuple[list[str], list[str]]:
    """The content words of a clause outside the reach of its negation, and those within, the nearest first."""
    place = next((i for i, word in enumerate(words) if _is_negation(word, language)), None)
    if place is None:
        return [*_content(words, language)], []
    before, behind = [*_content(words[:place], language)], [*_content(words[place + 1 :], language)]
    if language in NEGATED_BEHIND:
        return behind, before[::-1]
    return (before, behind) if behind else (before[:-1], before[-1:])


def _content(words: Sequence[str], language: str) -> Iterator[str]:
    return (word for word in words if word not in stop_words(language) and not _is_negation(word, language))


def _is_negation(word: str, language: str) -> bool:
    return is_negation(word, language) or word in _as_words(_OTHER_NEGATIONS.get(language, ""), language)


@functools.cache
def _as_words(words: str, language: str) -> frozenset[str]:
    return frozenset(words_of(words, language))


def _has_all(words: Collection[str], others: Collection[str], known: Collection[str]) -> bool:
    return all(word in others or word in known or word_match(word, others, ()) >= ALIKE for word in words)


def _denies(statement: _Statement, note: _Statement, known: Collection[str]) -> bool:
    """Whether a sentence denies a word of the note, and does not say the note outside its negation."""
    return _has_some(statement.denied, note.words) and not _has_all(note.words, statement.outside, known)


def _has_some(words: Collection[str], others: Collection[str]) -> bool:
    return any(word in others or word_match(word, others, ()) >= ALIKE for word in words)


def _denial_inside(claim: str, sentences: Sequence[str], language: str) -> str:
    """The same where words are not separated: the two are alike but for a negation."""
    said, folded = _bare(claim), [_bare(sentence) for sentence in sentences]
    note = without_negation_inside(said, language)
    if len(note) < MIN_CHARACTERS or any(said in sentence for sentence in folded):
        return ""
    denies = has_negation_inside(said, language)
    same = [
        sentence
        for sentence in folded
        if (bare := without_negation_inside(sentence, language))
        and (note in bare or bare in note or _is_cut(note, bare))
    ]
    if not same or any(has_negation_inside(sentence, language) == denies for sentence in same):
        return ""
    return "denies what the passage says" if denies else "says what the passage denies"


def _is_cut(left: str, right: str) -> bool:
    """Whether one of two texts is part of the other but for two characters at its end, as in できる and できない."""
    return any(len(part) > MIN_CHARACTERS + 2 and part[:-2] in whole for part, whole in ((left, right), (right, left)))


def _bare(text: str) -> str:
    return "".join(fold(text).split()).strip("。.!！?？")
