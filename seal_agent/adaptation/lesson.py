"""What an adapter is trained on: notes and passages, a teacher's labels, replayed lessons, and anchors.

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
from seal_agent.seeds import derived_seed
from seal_agent.self_edits.checking import check_self_edits_batch
from seal_agent.self_edits.formats.evidence import EVIDENCE, truncated_cues
from seal_agent.self_edits.parsing import notes_of
from seal_agent.self_edits.questions import statements_of
from seal_agent.self_edits.shares import with_equal_shares
from seal_agent.self_edits.writing import passages_of, write_self_edits_batch
from seal_agent.training.jobs import TrainJob
from seal_agent.training.retention.anchors import anchors
from seal_agent.training.retention.reference_text import protected_directions
from seal_agent.training.sequences import encode
from seal_agent.types import Context, Question, SelfEdit, TrainingSequence


@dataclass(frozen=True, slots=True)
class Lesson:
    """A context cut into passages that fit the window, and the notes about them.

    `held_out` are the questions of the self-test: a note that asks one of them is not trained on. `titles` has one for
    each passage, where the sections of a document have their own.
    """

    title: str
    passages: tuple[str, ...]
    self_edits: tuple[SelfEdit, ...]
    held_out: tuple[Question, ...] = ()
    titles: tuple[str, ...] = ()

    def title_of(self, part: int) -> str:
        """The title that a passage and its notes are learnt under."""
        return self.titles[part] if self.titles else self.title


def write_lessons(
    engine: Engine,
    base: BaseModel,
    contexts: Sequence[Context],
    config: SelfEditConfig,
    *,
    writer: LoraAdapter | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[Lesson]:
    """Write and check the self-edits of several contexts, all in one batch; `writer` is a policy's adapter."""
    sources = [(c.title, passages_of(base, c.text, config.max_context_tokens)) for c in contexts]
    edits = write_self_edits_batch(engine, sources, config, writer=writer, seed=seed, progress=progress)
    edits = check_self_edits_batch(engine, sources, edits, config.verify)
    if config.equal_shares:
        edits = with_equal_shares(
            engine, sources, edits, config, lambda text: len(base.tokens(text)), writer=writer, seed=seed
        )
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
    """The training job of one adapter on a lesson.

    Args:
        start: The adapter to continue from. It knows how to answer already, so it learns at `config.continued` of the
            learning rate.
        earlier: Lessons that `start` has learned; they are replayed.
    """
    sequences = sequences_of(engine, base, lesson, config, earlier)
    rate = config.learning_rate * (config.continued if start else 1)
    return TrainJob(sequences, replace(config, learning_rate=rate), start, protected_directions(base, config))


def sequences_of(
    engine: Engine, base: BaseModel, lesson: Lesson, config: InnerLoopConfig, earlier: Sequence[Lesson] = ()
) -> tuple[TrainingSequence, ...]:
    """The training sequences of one adapter; `config.replay` sequences of `earlier` lessons join every new one."""
    new = _own(engine, base, lesson, config)
    old = [sequence for before in earlier for sequence in _own(engine, base, before, config)] if config.replay else []
    kept = anchors(engine, base, config.anchors, config.anchor_weight, config.seed) if config.anchors else []
    return (*new, *_replayed(old, new, config), *kept)


def _own(engine: Engine, base: BaseModel, lesson: Lesson, config: InnerLoopConfig) -> list[TrainingSequence]:
    """The notes, each once even where two passages have it, and the passages."""
    held_out = {question.text.casefold() for question in lesson.held_out}
    left = {
        title: {
            note
            for note in notes_of([e for e in lesson.self_edits if lesson.title_of(e.part) == title], title)
            if note.text.casefold() not in held_out
        }
        for title in {lesson.title_of(part) for part in range(len(lesson.passages))}
    }
    sequences: list[TrainingSequence] = []
    for part, passage in enumerate(lesson.passages):
        title = lesson.title_of(part)
        edits = [edit for edit in lesson.self_edits if edit.part == part]
        notes = [note for note in notes_of(edits, title) if note in left[title]]
        left[title].difference_update(notes)
        *encoded, whole = encode(base, title, notes, [passage])
        taught = distilled(engine, title, passage, notes, encoded) if config.objective != "sft" else []
        if config.objective == "distill":
            encoded = [s for note, s in zip(notes, encoded, strict=True) if note.answer is None]
        else:
            encoded += _truncated_cues(base, title, passage, edits, config)
        sequences += [*encoded, *taught, whole]
    return sequences


def _truncated_cues(
    base: BaseModel, title: str, passage: str, edits: Sequence[SelfEdit], config: InnerLoopConfig
) -> list[TrainingSequence]:
    """Truncated cues for the sentences that the notes of the format evidence answer with."""
    edits = [edit for edit in edits if edit.format == EVIDENCE]
    notes = notes_of(edits, title) if config.openings else []
    cues, answers = {note.text for note in notes}, {note.answer for note in notes}
    sources = [source for source in statements_of(title, passage) if source.sentence in answers]
    synonyms = {word: others for edit in edits for word, others in edit.synonyms}
    return truncated_cues(base, sources, cues, synonyms, config.openings, config.epochs, config.seed)


def _replayed(
    old: Sequence[TrainingSequence], new: Sequence[TrainingSequence], config: InnerLoopConfig
) -> Iterator[TrainingSequence]:
    """Sequences of earlier lessons, `config.replay` for each new one, drawn anew in every epoch."""
    draw = random.Random(derived_seed(config.seed, "replay"))
    for epoch in range(config.epochs):
        candidates = [s for s in old if s.epoch in (None, epoch)]
        count = round(config.replay * sum(s.epoch in (None, epoch) for s in new))
        yield from (replace(s, epoch=epoch) for s in draw.sample(candidates, min(len(candidates), count)))
