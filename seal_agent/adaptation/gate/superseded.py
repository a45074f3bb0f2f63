"""What a newer text corrects: questions that it answers otherwise, and what still answers them as before."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from seal_agent.grading.contradictions import contradicts
from seal_agent.self_edits.asking import asking_words
from seal_agent.self_edits.question_words import question_words_of
from seal_agent.text.character_pairs import PAIRED, share_of_terms, terms_of
from seal_agent.text.inflection import fold
from seal_agent.text.languages import language_of
from seal_agent.text.scripts import NUMERAL
from seal_agent.text.sentences import sentences_of
from seal_agent.text.words import MIN_SHARED_PAIRS, content_words, has_number, word_match, words_of
from seal_agent.types import Context, Question

RELATED = 0.66  # share of a question's content words that a text about it has: two of three; not tuned
SPEAKING = 0.5  # share of a question's own words that a sentence has which may answer it; not tuned


def is_superseded(question: Question, title: str, new: Context) -> bool:
    """Whether the new text speaks of all that a question asks about, and does not hold its answer any more.

    The answer is looked for in the sentences that share the question's words; in all where none does.
    """
    text = f"{new.title}. {new.text}"
    language = language_of(text)
    if not _is_about(question.text, title, text, language):
        return False
    speaking = _speaking(question, title, _units(new.title, new.text), language) or [text]
    return not _answers(question, speaking, language)


def superseded(questions: Iterable[Question], title: str, newer: Sequence[Context]) -> list[Question]:
    """The questions that one of several newer texts answers otherwise."""
    return [question for question in questions if any(is_superseded(question, title, new) for new in newer)]


def related(questions: Sequence[Question], new: Context) -> list[Question]:
    """The questions that the new text is about: most of their content words are in it."""
    text = f"{new.title}. {new.text}"
    language = language_of(text)
    return [question for question in questions if _is_about(question.text, "", text, language, RELATED)]


def still_answers(question: Question, title: str, text: str) -> bool:
    """Whether a sentence of a text answers a question with one of its golds."""
    language = language_of(text)
    return _answers(question, _speaking(question, title, _units("", text), language), language)


def note_answers(question: Question, title: str, note: str, language: str) -> bool:
    """Whether a note, its question included, answers a question with one of its golds."""
    return _answers(question, _speaking(question, title, [note], language), language)


def _is_about(question: str, title: str, text: str, language: str, share: float = 1.0) -> bool:
    """Whether a text has the words of a question and its title; where pairs are compared, most of those."""
    if language in PAIRED:
        needed = min(share, MIN_SHARED_PAIRS)
        about = [terms for terms in (_own(question, title, language), terms_of(title, language)) if terms]
        return bool(about) and all(share_of_terms(terms, text) >= needed for terms in about)
    asked = set(content_words(f"{title} {question}", language)) - _ignored(language)
    return bool(asked) and len(asked & set(words_of(text, language))) >= share * len(asked)


def _own(question: str, title: str, language: str) -> frozenset[str]:
    """What a question asks about, apart from the title: words, or pairs of characters; with it if nothing is left."""
    if language in PAIRED:
        asked = terms_of(question, language, asking_words(language))
        return asked - terms_of(title, language) or asked
    words = frozenset(content_words(question, language)) - _ignored(language)
    return words - {*words_of(title, language)} or words


def _ignored(language: str) -> frozenset[str]:
    return frozenset(words_of(" ".join(asking_words(language)), language))


def _units(title: str, text: str) -> list[str]:
    """Each sentence under its title, behind the one that it may refer back to."""
    language = language_of(text)
    sentences, words = sentences_of(text, language), question_words_of(language)
    return [
        f"{title}. {previous} {sentence}"
        if words is None or words.refers_back.search(sentence)
        else f"{title}. {sentence}"
        for previous, sentence in zip(["", *sentences], sentences, strict=False)
    ]


def _speaking(question: Question, title: str, units: Sequence[str], language: str) -> list[str]:
    """The sentences that share the question's words."""
    own = _own(question.text, title, language)
    return [unit for unit in units if _share(own, unit, language) >= SPEAKING]


def _share(own: frozenset[str], text: str, language: str) -> float:
    if language in PAIRED:
        return share_of_terms(own, text)
    return len(own & {*words_of(text, language)}) / max(1, len(own))


def _answers(question: Question, sentences: Iterable[str], language: str) -> bool:
    """Whether one of these sentences holds a gold answer, and does not deny it."""
    return any(
        _holds(gold, sentence, language) and not contradicts(question.text, gold, sentence, language)
        for sentence in sentences
        for gold in question.golds
    )


def _holds(gold: str, sentence: str, language: str) -> bool:
    wanted, known = set(words_of(gold, language)), set(words_of(sentence, language))
    if language not in PAIRED:
        return wanted <= known
    if has_number(gold, language):  # 5周 is not in 8周 and 5天
        return _stands_in(gold, sentence)
    return all(word_match(word, known, ()) >= MIN_SHARED_PAIRS for word in wanted)


def _stands_in(number: str, sentence: str) -> bool:
    """Whether an answer with a number stands in a sentence, and its number does not go on there."""
    plain, wanted = ("".join(fold(text).split()) for text in (sentence, number))
    places = (match.span() for match in re.finditer(re.escape(wanted), plain))
    return any(
        not (NUMERAL.match(wanted) and NUMERAL.match(plain[max(0, start - 1) : start]))
        and not (NUMERAL.match(wanted[-1:]) and NUMERAL.match(plain[stop:]))
        for start, stop in places
    )
