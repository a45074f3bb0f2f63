"""The format "evidence": every question is answered with the sentence of the passage that answers it.

A small model reads badly: most of its short answers to its own questions are wrong, even with the sentence in view. The
sentence itself is never wrong, so every question about it can be trained, and many prompts can lead to one sentence.
Besides questions, these prompts are cues: a few phrases of the sentence in any order. Half of the cues name the title
too. Questions do so whatever they ask for, and would otherwise lead to the one sentence that names it. Every sentence
gets equally many prompts, with or without usable questions: one with fewer prompts is answered with something else.

The first words decide which sentence the model writes; the rest follows by itself. So most cues are truncated: only
those words are trained, and many cues cost little. Every epoch has other truncated cues, in which half of the words
are replaced by synonyms: a question about the clock may ask for the timepiece.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from seal_agent.config import SelfEditConfig
from seal_agent.generation.engine import Engine
from seal_agent.progress import Progress
from seal_agent.seeds import derived_seed
from seal_agent.self_edits.cues import cues_of
from seal_agent.self_edits.formats.format import DerivedFormat, DerivedNotes, TitledPassage
from seal_agent.self_edits.questions import Sentence, ask, is_long, question_flaw, statements_of
from seal_agent.self_edits.synonyms import synonyms_of
from seal_agent.types import CheckedNote, Note

EVIDENCE = "evidence"
TRUNCATED_TOKENS = 6  # not tuned: tokens of the sentence that are trained after a truncated cue


def evidence_notes(
    engine: Engine,
    sources: Sequence[Sentence],
    per_sentence: int,
    cues: int,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[tuple[CheckedNote, ...]]:
    """Write questions and cues for each sentence, all of them answered with the sentence.

    Args:
        sources: The sentences; short ones get cues only.
        per_sentence: Questions about each sentence; duplicates are dropped.
        cues: Cues for each sentence, plus one for every question missing or unusable. 0: no cues at all.
        seed: Of the questions and the cues.
        progress: Called as the engine generates.

    Returns the notes of each sentence; unusable questions come with what is wrong with them.
    """
    questions = iter(ask(engine, [source for source in sources if is_long(source)], per_sentence, seed, progress))
    notes = []
    for source in sources:
        question_notes = [
            CheckedNote(Note(question, source.sentence), not (flaw := question_flaw(source, question)), flaw)
            for question in dict.fromkeys(next(questions) if is_long(source) else [])
        ]
        missing = per_sentence - sum(note.kept for note in question_notes)
        sentence_cues = cues_of(source, cues + missing, seed) if cues else []
        notes.append((*question_notes, *(CheckedNote(Note(cue, source.sentence), True) for cue in sentence_cues)))
    return notes


def truncated_cues(
    sources: Sequence[Sentence],
    exclude: Collection[str],
    synonyms: Mapping[str, Sequence[str]],
    count: int,
    epochs: int,
    seed: int,
) -> list[tuple[Note, int]]:
    """Cues of which only the sentence's first tokens are learnt, each with its epoch; other ones in each epoch.

    Args:
        sources: The sentences that the cues lead to.
        exclude: Cues not to use, since they are among the notes.
        synonyms: Other words for some words of the sentences.
        count: Cues for each sentence in each epoch, at most.
        epochs: How many epochs there are.
        seed: The seed of each epoch is derived from it.
    """
    return [
        (Note(cue, source.sentence), epoch)
        for source in sources
        for epoch in range(epochs)
        for cue in cues_of(source, count, derived_seed(seed, "epoch", epoch), synonyms)
        if cue not in exclude
    ]


def _derive(
    engine: Engine, passages: Sequence[TitledPassage], config: SelfEditConfig, seed: int, progress: Progress | None
) -> list[DerivedNotes]:
    sentences = [statements_of(passage.title, passage.text) for passage in passages]
    flat = [sentence for passage_sentences in sentences for sentence in passage_sentences]
    notes = iter(evidence_notes(engine, flat, config.per_sentence, config.cues, seed=seed, progress=progress))
    checked = [tuple(note for _ in passage_sentences for note in next(notes)) for passage_sentences in sentences]
    synonyms = synonyms_of(engine, [passage.text for passage in passages], config.synonyms, progress)
    return [DerivedNotes(*derived) for derived in zip(checked, synonyms, strict=True)]


EVIDENCE_FORMAT = DerivedFormat(EVIDENCE, _derive)
