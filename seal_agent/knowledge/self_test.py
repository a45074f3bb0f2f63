"""Questions that the model asks itself, where nobody gave any: did it learn what it read?

Written with one sentence in view, answered twice from that sentence, and kept only where both answers agree and stand
in it. Asked closed-book before and after training they show whether something was learnt, not how much would be right
of what a person would ask: `benchmarks/recipes.py` measures how the two hang together.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, zip_longest

from seal_agent.engine.base import Engine, Progress
from seal_agent.knowledge.self_qa import Source, ask_and_answer, sources_of
from seal_agent.types import CheckedNote, Question

PER_SENTENCE = 3
SEED = 1_000_003  # added to the seed: notes written with the same one shall not be the test
MAX_SOURCES = 48  # sentences asked about, evenly spread over a long document


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
    pairs = iter(ask_and_answer(engine, every, PER_SENTENCE, agree=True, seed=seed + SEED, progress=progress))
    return [_chosen([next(pairs) for _ in of_context], count) for of_context in sentences]


def _spread(sources: Sequence[Source]) -> list[Source]:
    if len(sources) <= MAX_SOURCES:
        return list(sources)
    return [sources[i * len(sources) // MAX_SOURCES] for i in range(MAX_SOURCES)]


def _chosen(of_sentences: Sequence[Sequence[CheckedNote]], count: int) -> tuple[Question, ...]:
    """First questions of all sentences before second ones; of more than enough, evenly spaced ones."""
    usable = [[checked.note for checked in pairs if checked.kept] for pairs in of_sentences]
    rounds = list(zip_longest(*usable))
    first = [note for note in (rounds[0] if rounds else ()) if note]
    if len(first) > count:
        first = [first[i * len(first) // count] for i in range(count)]
    notes = {note.text.casefold(): note for note in chain(first, *rounds[1:]) if note}
    return tuple(Question(n.text, (n.answer,)) for n in list(notes.values())[:count] if n.answer)
