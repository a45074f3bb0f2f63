"""What an adapter is trained on: notes and passage, a teacher's labels, earlier lessons again, and the base's own ways.

The order of the parts does not matter: training shuffles them in every epoch.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from seal_agent.adaptation.distillation import distilled
from seal_agent.base_model.model import BaseModel
from seal_agent.config import InnerLoopConfig, SelfEditConfig
from seal_agent.generation.engine import Engine
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.progress import Progress
from seal_agent.self_edits.checking import check_self_edits_of
from seal_agent.self_edits.formats.evidence import EVIDENCE, truncated_cues
from seal_agent.self_edits.parsing import notes_of
from seal_agent.self_edits.questions import statements_of
from seal_agent.self_edits.writing import passages_of, write_self_edits_for
from seal_agent.training.jobs import TrainJob
from seal_agent.training.retention.anchors import anchors
from seal_agent.training.retention.reference_text import protected_directions
from seal_agent.training.sequences import encode
from seal_agent.types import Context, Question, SelfEdit, TrainingSequence


@dataclass(frozen=True, slots=True)
class Lesson:
    """A context cut into passages that fit the window, and the notes about them.

    `held_out` are questions that test what was learnt: a note that asks one of them is not trained on.
    """

    title: str
    passages: tuple[str, ...]
    self_edits: tuple[SelfEdit, ...]
    held_out: tuple[Question, ...] = ()


def write_lessons(
    engine: Engine,
    base: BaseModel,
    contexts: Sequence[Context],
    config: SelfEditConfig,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[Lesson]:
    """The lesson of each context: self-edits written and checked, those of all contexts in one batch."""
    sources = [(c.title, passages_of(base, c.text, config.max_context_tokens)) for c in contexts]
    edits = write_self_edits_for(engine, sources, config, seed=seed, progress=progress)
    edits = check_self_edits_of(engine, sources, edits, config.verify)
    return [Lesson(title, tuple(passages), written) for (title, passages), written in zip(sources, edits, strict=True)]


def job_of(
    engine: Engine,
    base: BaseModel,
    lesson: Lesson,
    config: InnerLoopConfig,
    *,
    start: LoraAdapter | None = None,
    earlier: Sequence[Lesson] = (),
) -> TrainJob:
    """The training of one adapter on a lesson, with all that its config asks for beside the notes.

    One that goes on from `start` knows already how to answer, and learns at `config.continued` of the rate.
    """
    sequences = sequences_of(engine, base, lesson, config, earlier)
    rate = config.learning_rate * (config.continued if start else 1)
    return TrainJob(sequences, replace(config, learning_rate=rate), start, protected_directions(engine, base, config))


def sequences_of(
    engine: Engine, base: BaseModel, lesson: Lesson, config: InnerLoopConfig, earlier: Sequence[Lesson] = ()
) -> tuple[TrainingSequence, ...]:
    """The training sequences of one adapter.

    `earlier` are the lessons that the adapter has had: `config.replay` of their sequences join every new one.
    """
    new = _own(engine, base, lesson, config)
    old = [sequence for one in earlier for sequence in _own(engine, base, one, config)] if config.replay else []
    kept = anchors(engine, base, config.anchors, config.anchor_weight, config.seed) if config.anchors else []
    return (*new, *_again(old, new, config), *kept)


def _own(engine: Engine, base: BaseModel, lesson: Lesson, config: InnerLoopConfig) -> list[TrainingSequence]:
    """Notes, each once whichever passage it is about, and passages."""
    held_out = {question.text.casefold() for question in lesson.held_out}
    left = {note for note in notes_of(lesson.self_edits, lesson.title) if note.text.casefold() not in held_out}
    sequences: list[TrainingSequence] = []
    for part, passage in enumerate(lesson.passages):
        edits = [edit for edit in lesson.self_edits if edit.part == part]
        notes = [note for note in notes_of(edits, lesson.title) if note in left]
        left.difference_update(notes)
        *encoded, whole = encode(base, lesson.title, notes, [passage])
        taught = distilled(engine, lesson.title, passage, notes, encoded) if config.objective != "sft" else []
        if config.objective == "distill":
            encoded = [s for note, s in zip(notes, encoded, strict=True) if note.answer is None]
        else:
            encoded += _openings(base, lesson, passage, edits, config)
        sequences += [*encoded, *taught, whole]
    return sequences


def _openings(
    base: BaseModel, lesson: Lesson, passage: str, edits: Sequence[SelfEdit], config: InnerLoopConfig
) -> list[TrainingSequence]:
    """Of what is answered with whole sentences: more ways to each, of which only its first words are learnt."""
    edits = [edit for edit in edits if edit.format == EVIDENCE]
    notes = notes_of(edits, lesson.title) if config.openings else []
    asked, answers = {note.text for note in notes}, {note.answer for note in notes}
    sources = [source for source in statements_of(lesson.title, passage) if source.sentence in answers]
    synonyms = {word: others for edit in edits for word, others in edit.synonyms}
    return truncated_cues(base, sources, asked, synonyms, config.openings, config.epochs, config.seed)


def _again(
    old: Sequence[TrainingSequence], new: Sequence[TrainingSequence], config: InnerLoopConfig
) -> Iterator[TrainingSequence]:
    """For every epoch other sequences of earlier lessons, `config.replay` for each new one in it."""
    draw = random.Random(config.seed)
    for epoch in range(config.epochs):
        there = [s for s in old if s.epoch in (None, epoch)]
        count = round(config.replay * sum(s.epoch in (None, epoch) for s in new))
        yield from (replace(s, epoch=epoch) for s in draw.sample(there, min(len(there), count)))
