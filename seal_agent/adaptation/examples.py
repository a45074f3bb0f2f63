"""What the training sequences of a lesson hold, before any of them is encoded.

Replay draws from all that earlier lessons held, so nothing is encoded, and no teacher asked, before it is drawn.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from seal_agent.adaptation.distillation import distilled
from seal_agent.base_model.model import BaseModel
from seal_agent.generation.engine import Engine
from seal_agent.self_edits.formats.evidence import TRUNCATED_TOKENS
from seal_agent.training.conversations import encode_conversation, from_json
from seal_agent.training.sequences import encode_in_view, encode_note, encode_text, encode_truncated
from seal_agent.types import Note, Picture, TrainingSequence


@dataclass(frozen=True, slots=True)
class Example:
    """A note about a passage, the passage itself where there is no note, or a conversation.

    Of an answer the first `tokens` are learnt; None: all of them. `taught` answers are learnt as a teacher with the
    passage in its prompt expects them. `epoch`, counted from 0, is the only one in which it is learnt; None: in every
    one.
    """

    title: str
    passage: str = ""
    note: Note | None = None
    epoch: int | None = None
    tokens: int | None = None
    taught: bool = False
    conversation: str = ""
    """As `training.conversations.to_json` writes it."""
    picture: Picture | None = None
    """What is in view when the note is learnt."""

    @property
    def is_pair(self) -> bool:
        """Whether it is a question with its answer."""
        return self.note is not None and self.note.answer is not None


def shortened(examples: Sequence[Example], answers: Collection[str | None], full: int, epochs: int) -> list[Example]:
    """The examples, of which in each epoch `full` with the same answer are learnt whole, and the others truncated.

    All prompts for a sentence decide how it begins; how it goes on, one of them teaches as well as all. Which are
    learnt whole changes from epoch to epoch.

    Args:
        answers: Those that are shortened; examples with other answers stay as they are.
        full: For each answer; 0 leaves everything whole.
        epochs: How many there are.
    """
    if not full:
        return list(examples)
    counts = Counter(example.note.answer for example in examples if example.note)
    seen: Counter[str | None] = Counter()
    result: list[Example] = []
    for example in examples:
        answer = example.note.answer if example.note else None
        if answer is None or answer not in answers or counts[answer] <= full:
            result.append(example)
            continue
        place, count = seen[answer], counts[answer]
        seen[answer] += 1
        for epoch in range(epochs):
            whole = (place - epoch * full) % count < full
            result.append(replace(example, epoch=epoch, tokens=None if whole else TRUNCATED_TOKENS))
    return result


def encode_examples(engine: Engine, base: BaseModel, examples: Sequence[Example]) -> list[TrainingSequence]:
    """The sequences of the examples, in order; a teacher answers about all of a passage in one batch."""
    at_any_time = [replace(example, epoch=None) for example in examples]
    encoded = {example: _encode(base, example) for example in dict.fromkeys(at_any_time)}
    taught: dict[tuple[str, str], list[Example]] = {}
    for example in encoded:
        if example.taught:
            taught.setdefault((example.title, example.passage), []).append(example)
    for (title, passage), pairs in taught.items():
        notes, written = [pair.note for pair in pairs if pair.note], [encoded[pair][0] for pair in pairs]
        labelled = distilled(engine, title, passage, notes, written)
        encoded |= {pair: (sequence,) for pair, sequence in zip(pairs, labelled, strict=True)}
    return [
        replace(sequence, epoch=example.epoch)
        for key, example in zip(at_any_time, examples, strict=True)
        for sequence in encoded[key]
    ]


def _encode(base: BaseModel, example: Example) -> tuple[TrainingSequence, ...]:
    if example.conversation:
        return encode_conversation(base, from_json(example.conversation))
    if example.note is None:
        return (encode_text(base, example.title, example.passage),)
    if example.picture is not None:
        return (encode_in_view(base, example.title, example.note, example.picture),)
    if example.tokens is not None:
        return (encode_truncated(base, example.title, example.note, example.tokens),)
    return (encode_note(base, example.title, example.note),)
