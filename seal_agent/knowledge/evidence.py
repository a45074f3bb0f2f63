"""Evidence: what is asked for is answered with the sentence that says it.

A small model reads badly: of its own short answers to its own questions, most are wrong with the sentence in view. The
sentence is never wrong, so every question about it can be learnt, and one sentence is learnt by all the ways that lead
to it. Beside questions these are cues, a few of its phrases in any order, which reach what no question asked for. Half
of them name the title too: questions do so, whatever they ask for, and else lead to the one sentence that names it.

Which sentence comes is decided by its first words; the rest follows by itself. So that many cues cost little, most are
openings, of which no more than those words are learnt. Every epoch has openings of its own, and half of their words are
exchanged for synonyms: a question about the clock may ask for the timepiece.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from seal_agent.engine.base import Engine, Progress
from seal_agent.inner_loop.sequences import encode_opening
from seal_agent.knowledge.phrases import phrases_of
from seal_agent.knowledge.self_qa import Source, ask, flaw_of_question, is_long
from seal_agent.models import BaseModel
from seal_agent.prompts import fill, load_prompt
from seal_agent.types import CheckedNote, Note, TrainingSequence

EVIDENCE = "evidence"
MOST_PHRASES = 3  # of a cue; with more of them it is the sentence over again
POINTED = 1 / 3  # our choice: share of the cues that name what their sentence points back to, where it does
REWORDED = 0.5  # our choice: share of the words that are put in other words, where there are some
OPENING = 6  # our choice: tokens of a sentence that are learnt of an opening


def evidence_notes(
    engine: Engine,
    sources: Sequence[Source],
    per_sentence: int,
    cues: int,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[tuple[CheckedNote, ...]]:
    """For every sentence its questions, each once, with what is wrong with those not to be used, and its cues.

    Of a short sentence there are only cues.
    """
    asked = iter(ask(engine, [source for source in sources if is_long(source)], per_sentence, seed, progress))
    return [
        tuple(
            CheckedNote(Note(question, source.sentence), not (flaw := flaw_of_question(source, question)), flaw)
            for question in dict.fromkeys(next(asked) if is_long(source) else [])
        )
        + tuple(CheckedNote(Note(cue, source.sentence), True) for cue in cues_of(source, cues, seed))
        for source in sources
    ]


def cues_of(
    source: Source, count: int, seed: int = 0, synonyms: Mapping[str, Sequence[str]] | None = None
) -> list[str]:
    """At most `count` different cues, each of one to three phrases of the sentence; every second one names the title.

    Phrases that are part of the title are left out, where there are others: all sentences answer to those. With
    `synonyms` a cue is put in other words here and there, and may name what its sentence points back to.
    """
    title, draw = source.title, random.Random(f"{seed} {source.sentence}")
    every = phrases_of(source.sentence)
    phrases = _besides(title, every) or every
    before = _besides(title, phrases_of(source.before)) if synonyms is not None else []
    if not phrases:
        return []
    templates = load_prompt("cue").splitlines()
    titled = [template for template in templates if "{title}" in template]
    plain = [template for template in templates if template not in titled]
    cues = []
    for number in range(count):
        drawn = draw.sample(phrases, draw.randint(1, min(MOST_PHRASES, len(phrases))))
        if before and len(drawn) < MOST_PHRASES and draw.random() < POINTED:
            drawn = [draw.choice(before), *drawn]
        if synonyms:
            drawn = [_reworded(phrase, synonyms, draw) for phrase in drawn]
        template = draw.choice(titled if title and number % 2 else plain)
        cues.append(fill(template, phrases=_listed(drawn), title=title))
    return list(dict.fromkeys(cues))


def openings_of(
    base: BaseModel,
    sources: Sequence[Source],
    asked: Collection[str],
    synonyms: Mapping[str, Sequence[str]],
    count: int,
    epochs: int,
    seed: int,
) -> list[TrainingSequence]:
    """`count` cues, at most, for every sentence in every epoch, others in each, and none that is `asked` already.

    Each is a sequence that ends after the first words of the sentence.
    """
    return [
        replace(encode_opening(base, source.title, Note(cue, source.sentence), OPENING), epoch=epoch)
        for source in sources
        for epoch in range(epochs)
        for cue in cues_of(source, count, seed + 1 + epoch, synonyms)
        if cue not in asked
    ]


def _besides(title: str, phrases: Sequence[str]) -> list[str]:
    return [phrase for phrase in phrases if phrase.casefold() not in title.casefold()]


def _reworded(phrase: str, synonyms: Mapping[str, Sequence[str]], draw: random.Random) -> str:
    return " ".join(
        draw.choice(others) if (others := synonyms.get(word)) and draw.random() < REWORDED else word
        for word in phrase.split()
    )


def _listed(phrases: Sequence[str]) -> str:
    *others, last = phrases
    return f"{', '.join(others)} and {last}" if others else last
