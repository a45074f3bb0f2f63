"""What an adapter is trained on: notes and passages, a teacher's labels, replayed lessons, and anchors.

The order of the parts does not matter: training shuffles them in every epoch.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace

from seal_agent.adaptation.edits import checked_self_edits
from seal_agent.adaptation.examples import Example, encode_examples, shortened
from seal_agent.adaptation.gate.superseded import note_answers, still_answers
from seal_agent.adaptation.pictures import look_at_each, picture_edits, picture_passages
from seal_agent.base_model.model import BaseModel
from seal_agent.base_model.sight import FIRST_ID
from seal_agent.config import InnerLoopConfig, PictureConfig, SelfEditConfig
from seal_agent.errors import InputError
from seal_agent.generation.engine import Engine
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.progress import Progress
from seal_agent.seeds import derived_seed
from seal_agent.self_edits.formats.evidence import EVIDENCE, TRUNCATED_TOKENS, truncated_cues
from seal_agent.self_edits.formats.registry import IN_VIEW
from seal_agent.self_edits.parsing import notes_of
from seal_agent.self_edits.pictures import Seen
from seal_agent.self_edits.questions import statements_of
from seal_agent.self_edits.writing import passages_of
from seal_agent.text.languages import language_of
from seal_agent.text.layout import in_one_line
from seal_agent.training.conversations import CONVERSATION
from seal_agent.training.jobs import TrainJob
from seal_agent.training.retention.anchors import anchors
from seal_agent.training.retention.reference_text import protected_directions
from seal_agent.types import Context, Note, Picture, Question, SelfEdit, TrainingSequence


@dataclass(frozen=True, slots=True)
class Lesson:
    """A context cut into passages that fit the window, and the notes about them.

    `held_out` are the questions of the self-test: a note that asks one of them is not trained on. `titles` has one for
    each passage, where the sections of a document have their own. `pictures` are what each passage was seen in, where
    it was. `corrected` are questions that a newer text answers otherwise: what answers them is not replayed.
    """

    title: str
    passages: tuple[str, ...]
    self_edits: tuple[SelfEdit, ...]
    held_out: tuple[Question, ...] = ()
    titles: tuple[str, ...] = ()
    pictures: tuple[Picture | None, ...] = ()
    corrected: tuple[Question, ...] = ()

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
    pictures: PictureConfig | None = None,
) -> list[Lesson]:
    """Write and check the self-edits of several contexts, all in one batch.

    Args:
        writer: A policy's adapter; None: the base model writes.
        pictures: How the images of the contexts are looked at.
    """
    looking, limit = pictures or PictureConfig(), config.max_context_tokens
    looked = look_at_each(engine, base, contexts, looking, seed, progress)
    parts = [_parts(base, context, seen, limit) for context, seen in zip(contexts, looked, strict=True)]
    sources = [(c.title, [text for text, _ in of_context]) for c, of_context in zip(contexts, parts, strict=True)]
    edits = checked_self_edits(
        engine, base, sources, config, writer=writer, seed=seed, stage=lambda _: nullcontext(progress)
    )
    lessons = []
    for context, seen, of_context, written in zip(contexts, looked, parts, edits, strict=True):
        numbers = [number for _, number in of_context]
        firsts = {number: numbers.index(number) for number in numbers if number}
        about = picture_edits(seen, firsts, config, looking, seed)
        images = tuple(context.images[number - 1] if number else None for number in numbers) if seen else ()
        passages = tuple(text for text, _ in of_context)
        lessons.append(Lesson(context.title, passages, (*written, *about), pictures=images))
    return lessons


def _parts(base: BaseModel, context: Context, seen: Sequence[Seen], limit: int) -> list[tuple[str, int]]:
    """The passages of a context, each with the number of the picture that it was seen in, 0 for those of the text."""
    texts = passages_of(base, context.text, limit) if context.text.strip() or not context.images else []
    pictures = picture_passages(base, seen, limit)
    return [(text, 0) for text in texts] + [(text, number) for number, of_one in pictures for text in of_one]


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
    if "vision" in "+".join(config.targets) and not any(max(s.input_ids) >= FIRST_ID for s in sequences):
        raise InputError(
            "targets 'vision' learns nothing where no picture is in view; adapt to a picture, with the format "
            "picture-in-view beside the others"
        )
    rate = config.learning_rate * (config.continued if start else 1)
    return TrainJob(sequences, replace(config, learning_rate=rate), start, protected_directions(base, config))


def sequences_of(
    engine: Engine, base: BaseModel, lesson: Lesson, config: InnerLoopConfig, earlier: Sequence[Lesson] = ()
) -> tuple[TrainingSequence, ...]:
    """The training sequences of one adapter; `config.replay` sequences of `earlier` lessons join every new one."""
    new = _examples_of(lesson, config)
    old = [example for before in earlier for example in _still_true(before, config)] if config.replay else []
    kept = anchors(engine, base, config.anchors, config.anchor_weight, config.seed) if config.anchors else []
    return (*encode_examples(engine, base, [*new, *_replayed(old, new, config)]), *kept)


def _examples_of(lesson: Lesson, config: InnerLoopConfig) -> list[Example]:
    """The conversations; else the notes, each once even where two passages have it, and the passages."""
    if conversations := [edit.prompt for edit in lesson.self_edits if edit.format == CONVERSATION]:
        return [Example(lesson.title, conversation=conversation) for conversation in conversations]
    held_out = {question.text.casefold() for question in lesson.held_out}
    left = {
        title: {
            note
            for note in notes_of([e for e in lesson.self_edits if lesson.title_of(e.part) == title], title)
            if note.text.casefold() not in held_out
        }
        for title in {lesson.title_of(part) for part in range(len(lesson.passages))}
    }
    examples: list[Example] = []
    for part, passage in enumerate(lesson.passages):
        title = lesson.title_of(part)
        edits = [edit for edit in lesson.self_edits if edit.part == part]
        notes = [note for note in notes_of(edits, title) if note in left[title]]
        left[title].difference_update(notes)
        examples += _of_notes(title, passage, edits, notes, config)
        examples += [Example(title, passage), *_in_view(lesson, edits)]
    return examples


def _still_true(lesson: Lesson, config: InnerLoopConfig) -> list[Example]:
    """The examples of an earlier lesson without those that answer what was corrected since."""
    examples = _examples_of(lesson, config)
    if not lesson.corrected:
        return examples
    answering = {example: _answers_one_of(lesson, example) for example in {replace(e, epoch=None) for e in examples}}
    return [example for example in examples if not answering[replace(example, epoch=None)]]


def _answers_one_of(lesson: Lesson, example: Example) -> bool:
    """Whether an example answers one of a lesson's corrected questions as before."""
    if example.note is None:
        return any(still_answers(question, lesson.title, example.passage) for question in lesson.corrected)
    note = f"{example.note.text} {example.note.answer or ''}"
    language = language_of(example.passage or note)
    return any(note_answers(question, lesson.title, note, language) for question in lesson.corrected)


def _of_notes(
    title: str, passage: str, edits: Sequence[SelfEdit], notes: Sequence[Note], config: InnerLoopConfig
) -> list[Example]:
    """The notes as text, as a teacher would answer them, or both; and truncated cues beside those of evidence."""
    written = [Example(title, passage, note) for note in notes]
    taught = [replace(example, taught=True) for example in written if example.is_pair]
    if config.objective == "distill":
        return [*(example for example in written if not example.is_pair), *taught]
    of_evidence = [edit for edit in edits if edit.format == EVIDENCE]
    answers = {note.answer for note in notes_of(of_evidence, title)}
    written = shortened(written, answers, config.full_answers, config.epochs)
    written += _truncated_cues(title, passage, of_evidence, config)
    return [*written, *taught] if config.objective == "both" else written


def _in_view(lesson: Lesson, edits: Sequence[SelfEdit]) -> Iterator[Example]:
    """Questions about a picture that are learnt with the picture in view."""
    for edit in edits:
        picture = lesson.pictures[edit.part] if lesson.pictures else None
        if edit.format == IN_VIEW and picture is not None:
            title = lesson.title_of(edit.part)
            yield from (Example(title, note=note, picture=picture) for note in notes_of([edit], title))


def _truncated_cues(title: str, passage: str, edits: Sequence[SelfEdit], config: InnerLoopConfig) -> list[Example]:
    """Truncated cues for the sentences that the notes of the format evidence answer with."""
    notes = notes_of(edits, title) if config.openings else []
    # Notes of before have the line breaks of their passage.
    cues, answers = {note.text for note in notes}, {in_one_line(note.answer) for note in notes if note.answer}
    sources = [source for source in statements_of(title, passage) if source.sentence in answers]
    synonyms = {word: others for edit in edits for word, others in edit.synonyms}
    drawn = truncated_cues(sources, cues, synonyms, config.openings, config.epochs, config.seed)
    return [Example(title, passage, note, epoch=epoch, tokens=TRUNCATED_TOKENS) for note, epoch in drawn]


def _replayed(old: Sequence[Example], new: Sequence[Example], config: InnerLoopConfig) -> Iterator[Example]:
    """Examples of earlier lessons, `config.replay` for each new one, drawn anew in every epoch."""
    draw = random.Random(derived_seed(config.seed, "replay"))
    for epoch in range(config.epochs):
        candidates = [e for e in old if e.epoch in (None, epoch)]
        count = round(config.replay * sum(e.epoch in (None, epoch) for e in new))
        yield from (replace(e, epoch=epoch) for e in draw.sample(candidates, min(len(candidates), count)))
