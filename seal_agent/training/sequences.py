"""Encodes notes as token ids and labels."""

from __future__ import annotations

from collections.abc import Sequence

from seal_agent.base_model.model import BaseModel
from seal_agent.errors import InputError
from seal_agent.generation.prefixes import common_prefix_length
from seal_agent.prompts import question_prompt
from seal_agent.types import IGNORE_LABEL, Message, Note, Picture, TrainingSequence


def encode(base: BaseModel, title: str, notes: Sequence[Note], passages: Sequence[str]) -> tuple[TrainingSequence, ...]:
    """One sequence per note, each under the title, then one per passage (SEAL, knowledge incorporation).

    The passage itself is trained on too: without it, recall of exact names drops.
    """
    note_sequences = [encode_note(base, title, note) for note in notes]
    return (*note_sequences, *(encode_text(base, title, passage) for passage in passages))


def encode_note(base: BaseModel, title: str, note: Note) -> TrainingSequence:
    """A statement, all of which is learnt, or a question-answer pair, of which only the assistant's answer is."""
    if note.answer is None:
        return encode_text(base, title, note.text)
    return encode_turns(base, question_prompt(title, note.text), note.answer)


def encode_truncated(base: BaseModel, title: str, note: Note, tokens: int) -> TrainingSequence:
    """A question-answer pair cut off after the first `tokens` tokens of its answer."""
    sequence = encode_note(base, title, note)
    answer_start = next((i for i, label in enumerate(sequence.labels) if label != IGNORE_LABEL), 0)
    stop = answer_start + tokens
    return TrainingSequence(sequence.input_ids[:stop], sequence.labels[:stop])


def encode_in_view(base: BaseModel, title: str, note: Note, picture: Picture) -> TrainingSequence:
    """A question-answer pair with a picture in view. Raises InputError where such a pair cannot be trained."""
    if base.sight.looks_both_ways:
        raise InputError(
            f"in {base.name!r} the tokens of a picture see each other, which training does not know how to do; "
            "leave the format picture-in-view out"
        )
    return encode_turns(base, question_prompt(title, note.text), note.answer or "", (picture,))


def encode_turns(base: BaseModel, user_text: str, answer: str, pictures: tuple[Picture, ...] = ()) -> TrainingSequence:
    """A user turn without labels, and an assistant turn that is learnt, its end included."""
    question = Message("user", user_text, pictures=pictures)
    prompt = base.turns((question,), answer_next=True)
    ids = base.turns((question, Message("assistant", answer)), answer_next=False)
    if not base.is_chat:
        ids = base.tokens_ended(ids)
    # A token that merges the end of the prompt with the start of the answer is learnt.
    answer_start = common_prefix_length(prompt, ids)
    held = base.sight.held(ids) if pictures else ()
    return TrainingSequence(tuple(ids), (*[IGNORE_LABEL] * answer_start, *ids[answer_start:]), held=held)


def encode_text(base: BaseModel, title: str, text: str) -> TrainingSequence:
    """Plain text under its title; every token is learnt."""
    ids = tuple(base.tokens(f"{title}\n{text}" if title else text))
    return TrainingSequence(ids, ids)
