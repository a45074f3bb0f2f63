"""Joins what says little by itself: a question with the answer behind it, a short sentence with its neighbour."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from seal_agent.text.lines import ends_a_sentence
from seal_agent.text.scripts import UNSPACED
from seal_agent.text.sentences import is_question
from seal_agent.text.words import content_words, word_match, words_of

MIN_WORDS = 3  # of a short sentence that is no fragment, such as "By order."
ALIKE = 0.8  # of a word and its inflections; not tuned

Statement = tuple[str, str]
"""A statement, and the sentence before it."""


def joined(
    sentences: Sequence[str],
    title: str,
    language: str,
    is_statement: Callable[[str], bool],
    refers_back: Callable[[str], bool],
) -> list[Statement]:
    """The statements among sentences, in order.

    A question stands before its answer, unless that repeats the question's words; one without an answer is left out.
    Short sentences make a statement together, or go with the statement before them, or else behind them. Where nothing
    else is left, all sentences but questions are one statement.

    Args:
        sentences: In order.
        title: Of their context; its words say nothing new.
        language: ISO 639 code.
        is_statement: Whether a sentence stands by itself.
        refers_back: Whether a sentence speaks of something as "it" or "they".
    """
    statements: list[Statement] = []
    short = question = before = ""
    for sentence in sentences:
        if is_question(sentence, language):
            question = before = sentence
            continue
        text = sentence if not question or _repeats(question, sentence, language) else _with(question, sentence)
        question = ""
        if is_statement(text):
            if short and statements:
                statements[-1] = (_with(statements[-1][0], short), statements[-1][1])
            statements.append((text if statements or not short else _with(short, text), before))
            short = ""
        elif _is_sentence(text, title, language) or refers_back(text):
            short = _with(short, text)
            if is_statement(short):
                statements.append((short, before))
                short = ""
        before = sentence
    if short and statements:
        statements[-1] = (_with(statements[-1][0], short), statements[-1][1])
    return statements or _whole(sentences, language)


def _whole(sentences: Sequence[str], language: str) -> list[Statement]:
    whole = ""
    for sentence in sentences:
        if not is_question(sentence, language) and any(map(str.isalnum, sentence)):
            whole = _with(whole, sentence)
    return [(whole, "")] if whole else []


def _is_sentence(text: str, title: str, language: str) -> bool:
    """Whether a short text is a whole sentence that says something besides the title."""
    unspaced = len(UNSPACED.findall(text))
    if not ends_a_sentence(text) or max(unspaced, len(text.split())) < MIN_WORDS:
        return False
    return bool(unspaced or {*content_words(text, language)} - {*words_of(title, language)})


def _repeats(question: str, answer: str, language: str) -> bool:
    """Whether an answer has all content words of its question, and so says by itself what it is about."""
    answer_words = words_of(answer, language)
    return all(word_match(word, answer_words, ()) >= ALIKE for word in content_words(question, language))


def _with(before: str, text: str) -> str:
    unspaced = UNSPACED.search(before[-2:]) and UNSPACED.match(text)
    return f"{before}{'' if unspaced else ' '}{text}".strip()
