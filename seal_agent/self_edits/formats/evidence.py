"""Evidence: what is asked for is answered with the sentence that says it.

A small model reads badly: of its own short answers to its own questions, most are wrong with the sentence in view. The
sentence is never wrong, so every question about it can be learnt, and one sentence is learnt by all the ways that lead
to it. Beside questions these are cues, a few of its phrases in any order. Half of them name the title too: questions do
so, whatever they ask for, and else lead to the one sentence that names it. Every sentence has equally many ways, those
without a usable question too: what is learnt from fewer is answered with something else.

Which sentence comes is decided by its first words; the rest follows by itself. So that many cues cost little, most are
openings, of which no more than those words are learnt. Every epoch has openings of its own, and half of their words are
exchanged for synonyms: a question about the clock may ask for the timepiece.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from seal_agent.base_model.model import BaseModel
from seal_agent.config import SelfEditConfig
from seal_agent.generation.engine import Engine
from seal_agent.progress import Progress
from seal_agent.self_edits.cues import cues_of
from seal_agent.self_edits.formats.format import DerivedFormat, DerivedNotes, TitledPassage
from seal_agent.self_edits.questions import Sentence, ask, is_long, question_flaw, statements_of
from seal_agent.self_edits.synonyms import synonyms_of
from seal_agent.training.sequences import encode_truncated
from seal_agent.types import CheckedNote, Note, TrainingSequence

EVIDENCE = "evidence"
OPENING = 6  # our choice: tokens of a sentence that are learnt of an opening


def evidence_notes(
    engine: Engine,
    sources: Sequence[Sentence],
    per_sentence: int,
    cues: int,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[tuple[CheckedNote, ...]]:
    """For every sentence its questions, each once, with what is wrong with those not to be used, and its cues.

    Of a short sentence there are only cues. With `cues` 0 there are none; else one more for every question missing.
    """
    asked = iter(ask(engine, [source for source in sources if is_long(source)], per_sentence, seed, progress))
    notes = []
    for source in sources:
        questions = [
            CheckedNote(Note(question, source.sentence), not (flaw := question_flaw(source, question)), flaw)
            for question in dict.fromkeys(next(asked) if is_long(source) else [])
        ]
        missing = per_sentence - sum(question.kept for question in questions)
        more = cues_of(source, cues + missing, seed) if cues else []
        notes.append((*questions, *(CheckedNote(Note(cue, source.sentence), True) for cue in more)))
    return notes


def truncated_cues(
    base: BaseModel,
    sources: Sequence[Sentence],
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
        replace(encode_truncated(base, source.title, Note(cue, source.sentence), OPENING), epoch=epoch)
        for source in sources
        for epoch in range(epochs)
        for cue in cues_of(source, count, seed + 1 + epoch, synonyms)
        if cue not in asked
    ]


def _derive(
    engine: Engine, passages: Sequence[TitledPassage], config: SelfEditConfig, seed: int, progress: Progress | None
) -> list[DerivedNotes]:
    sentences = [statements_of(passage.title, passage.text) for passage in passages]
    every = [sentence for of_passage in sentences for sentence in of_passage]
    notes = iter(evidence_notes(engine, every, config.per_sentence, config.cues, seed=seed, progress=progress))
    checked = [tuple(note for _ in of_passage for note in next(notes)) for of_passage in sentences]
    synonyms = synonyms_of(engine, [passage.text for passage in passages], config.synonyms, progress)
    return [DerivedNotes(*derived) for derived in zip(checked, synonyms, strict=True)]


EVIDENCE_FORMAT = DerivedFormat(EVIDENCE, _derive)
