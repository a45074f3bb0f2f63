"""The self-test: questions that the model writes where nobody gives any, to see whether it learned its text.

Each question is written with one sentence in view and answered twice from that sentence. Decoding holds the answers to
phrases of the sentence: unconstrained, a small model makes up half of them. A question is kept if both answers are the
same phrase, of the kind that the question asks for. Asked closed-book before and after training, they show whether
something was learned, not how well a person's questions would be answered; docs/measurements.md says how the two
correlate.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import chain, zip_longest

from seal_agent.generation.engine import Engine
from seal_agent.progress import Progress
from seal_agent.seeds import derived_seed
from seal_agent.self_edits.question_words import question_words_of
from seal_agent.self_edits.questions import Sentence, answer_prompt, ask, question_flaw, room_for, sources_of
from seal_agent.text.phrases import phrases_of
from seal_agent.text.words import MONTHS, content_words, has_number, words_of
from seal_agent.types import Grammar, Question, Sampling

PER_SENTENCE = 3
MAX_SOURCES = 48  # sentences asked about, evenly spread over a long document
FEWEST_PHRASES = 2  # a single possible answer would always agree with itself
_ANSWER_TOKENS = 32
_SPECIAL = re.compile(r"([\\.+*?()|\[\]{}^$#&~-])")


def write_self_tests(
    engine: Engine,
    sources: Sequence[tuple[str, Sequence[str]]],
    count: int,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[tuple[Question, ...]]:
    """At most `count` questions for each context, spread over its sentences.

    Args:
        sources: Title and passages of each context.

    There are fewer, or none, where the model cannot answer its own questions twice alike, or where the language has no
    table of question words.
    """
    sentences = [_spread([s for p in passages for s in sources_of(title, p)]) for title, passages in sources]
    flat = [sentence for of_context in sentences for sentence in of_context]
    usable = iter(_consistent(engine, flat, derived_seed(seed, "self-test"), progress))
    return [_select([next(usable) for _ in of_context], count) for of_context in sentences]


def write_self_test(
    engine: Engine,
    sections: Sequence[tuple[str, Sequence[str]]],
    count: int,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> tuple[Question, ...]:
    """At most `count` questions, spread over the sections of one context, each with a title and passages."""
    sentences = _spread([s for title, passages in sections for p in passages for s in sources_of(title, p)])
    return _select(_consistent(engine, sentences, derived_seed(seed, "self-test"), progress), count)


def _consistent(
    engine: Engine, sources: Sequence[Sentence], seed: int, progress: Progress | None
) -> list[list[Question]]:
    """The questions about each sentence that are answered with the same phrase twice."""
    questions = ask(engine, sources, PER_SENTENCE, seed, progress)
    rows = [
        (number, question, phrases)
        for number, (source, of_source) in enumerate(zip(sources, questions, strict=True))
        for question in dict.fromkeys(of_source)
        if not question_flaw(source, question)
        if len(phrases := _answers_to(source, question)) >= FEWEST_PHRASES
    ]
    prompts = [answer_prompt(sources[number], question) for number, question, _ in rows]
    grammars = [Grammar("regex", "|".join(map(_escape, phrases))) for *_, phrases in rows]
    room = room_for(sources, _ANSWER_TOKENS)
    twice = [
        [
            completion.text.strip()
            for completion in engine.generate(prompts, sampling, progress=progress, grammars=grammars)
        ]
        for sampling in (Sampling(room), Sampling(room, temperature=0.7, top_p=0.95, seed=seed))
    ]
    consistent: list[list[Question]] = [[] for _ in sources]
    for (number, question, phrases), first, second in zip(rows, *twice, strict=True):
        if first == second and first in phrases and _fits(sources[number], question, first):
            consistent[number].append(Question(question, (first,)))
    return consistent


def _answers_to(source: Sentence, question: str) -> list[str]:
    """Phrases of the sentence with a content word that neither the question nor the title has."""
    language = source.language
    given = {*content_words(question, language), *content_words(source.title, language)}
    phrases = phrases_of(source.sentence, language)
    return [phrase for phrase in phrases if {*content_words(phrase, language)} - given]


def _fits(source: Sentence, question: str, answer: str) -> bool:
    """Whether the answer is of the kind asked for: a name for who and where, a number for when and how many."""
    language, words = source.language, question_words_of(source.language)
    if words and words.for_name.match(question) and language != "zh":  # Chinese has no capitals
        return any(word[0].isupper() for word in answer.split()[-1:])
    if words and words.for_number.match(question):
        return has_number(answer, language) or bool(MONTHS.intersection(words_of(answer, language)))
    return True


def _escape(phrase: str) -> str:
    return _SPECIAL.sub(r"\\\1", phrase)


def _spread(sources: Sequence[Sentence]) -> list[Sentence]:
    if len(sources) <= MAX_SOURCES:
        return list(sources)
    return [sources[i * len(sources) // MAX_SOURCES] for i in range(MAX_SOURCES)]


def _select(of_sentences: Sequence[Sequence[Question]], count: int) -> tuple[Question, ...]:
    """First questions of all sentences before second ones; evenly spaced where there are too many."""
    rounds = list(zip_longest(*of_sentences))
    first = [question for question in (rounds[0] if rounds else ()) if question]
    if len(first) > count:
        first = [first[i * len(first) // count] for i in range(count)]
    questions = {question.text.casefold(): question for question in chain(first, *rounds[1:]) if question}
    return tuple(questions.values())[:count]
