"""Context distillation: the model that has the passage before it teaches the one that has not.

The answer's tokens are learnt as the teacher would have spoken them, all its likely alternatives weighed, instead of as
the one text that was written down (Askell et al., 2021, arXiv 2112.00861, on prompts; Snell et al., 2022, arXiv
2209.15189).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from seal_agent.generation.engine import Engine
from seal_agent.prompts import question_with_passage
from seal_agent.types import IGNORE_LABEL, Message, Note, TrainingSequence

TOP = 16  # our choice: the tokens of a teacher's distribution that are stored, as a rule over 95 % of its mass


def distilled(
    engine: Engine,
    title: str,
    passage: str,
    notes: Sequence[Note],
    sequences: Sequence[TrainingSequence],
    weight: float = 1.0,
) -> list[TrainingSequence]:
    """The question-answer pairs among `notes`, as `encode_note` made them into `sequences`, with the teacher's labels.

    `weight` multiplies the loss of each. Statements have no question to put to a teacher and are left out.
    """
    pairs = [(note, s) for note, s in zip(notes, sequences, strict=True) if note.answer is not None]
    prompts = [(Message("user", question_with_passage(title, passage, note.text)),) for note, _ in pairs]
    starts = [_first_learnt(sequence) for _, sequence in pairs]
    answers = [sequence.input_ids[start:] for (_, sequence), start in zip(pairs, starts, strict=True)]
    labels = engine.soft_labels(prompts, answers, TOP)
    return [
        replace(sequence, soft_labels=(*[None] * start, *expected), weight=weight)
        for (_, sequence), start, expected in zip(pairs, starts, labels, strict=True)
    ]


def _first_learnt(sequence: TrainingSequence) -> int:
    return next(at for at, label in enumerate(sequence.labels) if label != IGNORE_LABEL)
