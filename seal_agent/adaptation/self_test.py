"""Questions that the model asks itself, where nobody gave any: did it learn what it read?

Written with one sentence in view, and answered twice from that sentence, where only a phrase of it can be said: left to
itself, a small model answers half of its own questions with something it made up. A question is kept where both answers
are the same phrase, and one of the kind that it asks for. Asked closed-book before and after training they show whether
something was learnt, not how much would be right of what a person would ask: `benchmarks/recipes.py` measures how the
two hang together.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import chain, zip_longest

from seal_agent.generation.engine import Engine
from seal_agent.progress import Progress
from seal_agent.self_edits.questions import Sentence, answer_prompt, ask, question_flaw, sources_of
from seal_agent.text.phrases import phrases_of
from seal_agent.text.words import MONTHS, content_of, has_number, words_of
from seal_agent.types import Grammar, Question, Sampling

PER_SENTENCE = 3
SEED = 1_000_003  # added to the seed: notes written with the same one shall not be the test
MAX_SOURCES = 48  # sentences asked about, evenly spread over a long document
FEWEST_PHRASES = 2  # to choose from: an answer that is the only one possible agrees with itself
_ANSWER_TOKENS = 32
_FOR_A_NAME = re.compile(r"(?:who|whom|whose|where)\b", re.IGNORECASE)
_FOR_A_NUMBER = re.compile(r"(?:when|how (?:many|much|old|long|tall|far|high|large|big))\b", re.IGNORECASE)
_SPECIAL = re.compile(r"([\\.+*?()|\[\]{}^$#&~-])")


def write_self_tests(
    engine: Engine,
    sources: Sequence[tuple[str, Sequence[str]]],
    count: int,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[tuple[Question, ...]]:
    """At most `count` questions for each context, given as title and passages, spread over its sentences.

    Fewer, or none, where the model found no more that it could answer itself.
    """
    sentences = [_spread([s for p in passages for s in sources_of(title, p)]) for title, passages in sources]
    every = [sentence for of_context in sentences for sentence in of_context]
    usable = iter(_agreed(engine, every, seed + SEED, progress))
    return [_chosen([next(usable) for _ in of_context], count) for of_context in sentences]


def _agreed(engine: Engine, sources: Sequence[Sentence], seed: int, progress: Progress | None) -> list[list[Question]]:
    """Of each sentence the questions that are answered with the same phrase twice."""
    questions = ask(engine, sources, PER_SENTENCE, seed, progress)
    asked = [
        (number, question, phrases)
        for number, (source, of_source) in enumerate(zip(sources, questions, strict=True))
        for question in dict.fromkeys(of_source)
        if not question_flaw(source, question)
        if len(phrases := _answers_to(source, question)) >= FEWEST_PHRASES
    ]
    prompts = [answer_prompt(sources[number], question) for number, question, _ in asked]
    grammars = [Grammar("regex", "|".join(map(_literally, phrases))) for *_, phrases in asked]
    twice = [
        [said.text.strip() for said in engine.generate(prompts, sampling, progress=progress, grammars=grammars)]
        for sampling in (Sampling(_ANSWER_TOKENS), Sampling(_ANSWER_TOKENS, temperature=0.7, top_p=0.95, seed=seed))
    ]
    agreed: list[list[Question]] = [[] for _ in sources]
    for (number, question, phrases), first, second in zip(asked, *twice, strict=True):
        if first == second and first in phrases and _fits(question, first):
            agreed[number].append(Question(question, (first,)))
    return agreed


def _answers_to(source: Sentence, question: str) -> list[str]:
    """Phrases of the sentence that say something which neither the question nor the title does."""
    known = {*content_of(question), *content_of(source.title)}
    return [phrase for phrase in phrases_of(source.sentence) if {*content_of(phrase)} - known]


def _fits(question: str, answer: str) -> bool:
    """Whether who and where are answered with a name, when and how many with a number; all else may be anything."""
    if _FOR_A_NAME.match(question):
        return any(word[0].isupper() for word in answer.split()[-1:])
    if _FOR_A_NUMBER.match(question):
        return has_number(answer) or bool(MONTHS.intersection(words_of(answer)))
    return True


def _literally(phrase: str) -> str:
    return _SPECIAL.sub(r"\\\1", phrase)


def _spread(sources: Sequence[Sentence]) -> list[Sentence]:
    if len(sources) <= MAX_SOURCES:
        return list(sources)
    return [sources[i * len(sources) // MAX_SOURCES] for i in range(MAX_SOURCES)]


def _chosen(of_sentences: Sequence[Sequence[Question]], count: int) -> tuple[Question, ...]:
    """First questions of all sentences before second ones; of more than enough, evenly spaced ones."""
    rounds = list(zip_longest(*of_sentences))
    first = [question for question in (rounds[0] if rounds else ()) if question]
    if len(first) > count:
        first = [first[i * len(first) // count] for i in range(count)]
    questions = {question.text.casefold(): question for question in chain(first, *rounds[1:]) if question}
    return tuple(questions.values())[:count]
