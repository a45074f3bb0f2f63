"""From notes to token ids and labels."""

from __future__ import annotations

from collections.abc import Sequence

from seal_agent.base_model.model import BaseModel
from seal_agent.prompts import question_prompt
from seal_agent.types import IGNORE_LABEL, Message, Note, TrainingSequence


def encode(base: BaseModel, title: str, notes: Sequence[Note], passages: Sequence[str]) -> tuple[TrainingSequence, ...]:
    """One sequence per note, each under its title, and one per passage, last (SEAL, knowledge incorporation).

    The passage itself is trained on too: without it the recall of exact names drops.
    """
    noted = [encode_note(base, title, note) for note in notes]
    return (*noted, *(encode_text(base, title, passage) for passage in passages))


def encode_note(base: BaseModel, title: str, note: Note) -> TrainingSequence:
    """A statement is learnt whole; of a question-answer pair only the answer is learnt, as an assistant's turn."""
    if note.answer is None:
        return encode_text(base, title, note.text)
    return encode_turns(base, question_prompt(title, note.text), note.answer)


def encode_truncated(base: BaseModel, title: str, note: Note, tokens: int) -> TrainingSequence:
    """A question-answer pair of which only the first tokens of the answer are learnt; the rest is cut off."""
    whole = encode_note(base, title, note)
    read = next((at for at, label in enumerate(whole.labels) if label != IGNORE_LABEL), 0)
    return TrainingSequence(whole.input_ids[: read + tokens], whole.labels[: read + tokens])


def encode_turns(base: BaseModel, said: str, answer: str) -> TrainingSequence:
    """One user's turn that is read and one assistant's turn that is learnt, with the end of it."""
    asked = Message("user", said)
    prompt = base.turns((asked,), answer_next=True)
    whole = base.turns((asked, Message("assistant", answer)), answer_next=False)
    if not base.is_chat:
        whole = base.tokens_ended(whole)
    read = _shared(prompt, whole)
    return TrainingSequence(tuple(whole), (*[IGNORE_LABEL] * read, *whole[read:]))


def encode_text(base: BaseModel, title: str, text: str) -> TrainingSequence:
    """Plain text under its title; every token is learnt."""
    ids = tuple(base.tokens(f"{title}\n{text}" if title else text))
    return TrainingSequence(ids, ids)


def _shared(left: Sequence[int], right: Sequence[int]) -> int:
    """Length of the common beginning: where a tokenizer merges across the border, that token is learnt."""
    for at, (a, b) in enumerate(zip(left, right, strict=False)):
        if a != b:
            return at
    return min(len(left), len(right))
