"""Context distillation: the model with the passage in its prompt teaches the model without it.

The labels of an answer's tokens are the teacher's distributions, not the one text that was written down (Askell et al.,
2021, arXiv 2112.00861, on prompts; Snell et al., 2022, arXiv 2209.15189).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from seal_agent.generation.engine import Engine
from seal_agent.prompts import question_with_passage
from seal_agent.types import IGNORE_LABEL, Message, Note, TrainingSequence

TOP = 16  # tokens kept of a teacher's distribution; mostly over 95 % of its mass


def distilled(
    engine: Engine,
    title: str,
    passage: str,
    notes: Sequence[Note],
    sequences: Sequence[TrainingSequence],
    weight: float = 1.0,
) -> list[TrainingSequence]:
    """The question-answer pairs among `notes` as sequences with the teacher's soft labels.

    Args:
        notes: Statements among them are left out: they hold no question to put to a teacher.
        sequences: The notes as `encode_note` encoded them, in the same order.
        weight: Multiplies the loss of each sequence.
    """
    pairs = [(note, s) for note, s in zip(notes, sequences, strict=True) if note.answer is not None]
    prompts = [(Message("user", question_with_passage(title, passage, note.text)),) for note, _ in pairs]
    starts = [_first_label(sequence) for _, sequence in pairs]
    answers = [sequence.input_ids[start:] for (_, sequence), start in zip(pairs, starts, strict=True)]
    labels = engine.soft_labels(prompts, answers, TOP)
    return [
        replace(sequence, soft_labels=(*[None] * start, *expected), weight=weight)
        for (_, sequence), start, expected in zip(pairs, starts, labels, strict=True)
    ]


def _first_label(sequence: TrainingSequence) -> int:
    return next(position for position, label in enumerate(sequence.labels) if label != IGNORE_LABEL)
