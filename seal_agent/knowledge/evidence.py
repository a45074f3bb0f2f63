"""Evidence: what is asked for is answered with the sentence that says it.

A small model reads badly: of its own short answers to its own questions, most are wrong with the sentence in view. The
sentence is never wrong, so every question about it can be learnt, and one sentence is learnt by all the ways that lead
to it. Beside questions these are cues, a few of its phrases in any order, which reach what no question asked for.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from seal_agent.engine.base import Engine, Progress
from seal_agent.knowledge.phrases import phrases_of
from seal_agent.knowledge.self_qa import Source, ask, flaw_of_question
from seal_agent.prompts import fill, load_prompt
from seal_agent.types import CheckedNote, Note

MOST_PHRASES = 3  # of a cue; with more of them it is the sentence over again


def evidence_notes(
    engine: Engine,
    sources: Sequence[Source],
    per_sentence: int,
    cues: int,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[tuple[CheckedNote, ...]]:
    """For every sentence its questions, each once, with what is wrong with those not to be used, and its cues."""
    asked = ask(engine, sources, per_sentence, seed, progress)
    return [
        tuple(
            CheckedNote(Note(question, source.sentence), not (flaw := flaw_of_question(source, question)), flaw)
            for question in dict.fromkeys(questions)
        )
        + tuple(CheckedNote(Note(cue, source.sentence), True) for cue in cues_of(source.sentence, cues, seed))
        for source, questions in zip(sources, asked, strict=True)
    ]


def cues_of(sentence: str, count: int, seed: int = 0) -> list[str]:
    """At most `count` different cues, each of one to three phrases of the sentence and never of all that it has."""
    phrases, draw = phrases_of(sentence), random.Random(f"{seed} {sentence}")
    most = min(MOST_PHRASES, len(phrases) - 1)
    if most < 1:
        return []
    drawn = [draw.sample(phrases, draw.randint(1, most)) for _ in range(count)]
    template = load_prompt("cue")
    return list(dict.fromkeys(fill(template, phrases=_listed(phrases)) for phrases in drawn))


def _listed(phrases: Sequence[str]) -> str:
    *others, last = phrases
    return f"{', '.join(others)} and {last}" if others else last
