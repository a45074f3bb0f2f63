"""Reading: what the reader finds in a text that an adapter recalled."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from seal_agent.answering.reader import NOT_STATED
from seal_agent.answering.recall import room_beside
from seal_agent.base_model.model import BaseModel
from seal_agent.generation.engine import Engine
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.prompts import reading_prompt
from seal_agent.text.languages import language_of
from seal_agent.text.scripts import word_count
from seal_agent.text.words import content_words
from seal_agent.types import Completion, Message, Sampling

MAX_TOKENS = 24
REFUSAL = 5  # words of a sentence that only says that nothing is stated
_OR = {
    code: re.compile(joint if code == "zh" else rf"\b(?:{joint})\b", re.IGNORECASE)
    for code, joint in {
        "en": "or",
        "de": "oder",
        "fr": "ou",
        "es": "o|u",
        "it": "o|oppure",
        "pt": "ou",
        "nl": "of",
        "ru": "или",
        "zh": "还是|還是",
    }.items()
}


@dataclass(frozen=True, slots=True)
class Reading:
    """The words of a text that answer a question.

    `sure` is the probability of their first token, and `not_stated` that of an answer which says that there is none.
    `cut` is whether there was no room for more.
    """

    text: str
    sure: float
    not_stated: float
    cut: bool = False


def read(
    engine: Engine, reader: LoraAdapter | None, rows: Sequence[tuple[str, str, str]], base: BaseModel | None = None
) -> list[Reading]:
    """What each text says in answer to a question.

    Args:
        reader: Whose answers; None for the base model's.
        rows: (title, text, question).
        base: Gives more room where it cuts the script of a text into bytes; None: as in English.
    """
    rooms = [room_beside(base, text, MAX_TOKENS) if base else MAX_TOKENS for _, text, _ in rows]
    readings: dict[int, Reading] = {}
    for room in sorted(set(rooms)):
        places = [i for i, own in enumerate(rooms) if own == room]
        prompts = [(Message("user", reading_prompt(*rows[i])),) for i in places]
        branches = engine.branches(prompts, Sampling(room), 2, [reader] * len(prompts))
        readings.update((i, _reading(rows[i][2], found)) for i, found in zip(places, branches, strict=True))
    return [readings[i] for i in range(len(rows))]


def _reading(question: str, completions: Sequence[Completion]) -> Reading:
    """What two completions of the reader say."""
    answers = [c for c in completions if not _is_refusal(c.text)]
    refused = [c for c in completions if _is_refusal(c.text)]
    if not _names_alternatives(question):
        answers = [c for c in answers if not _repeats(question, c.text)] or answers
    sure, not_stated = (math.exp(found[0].logprobs[0]) if found else 0.0 for found in (answers, refused))
    if not answers:
        return Reading("", sure, not_stated)
    return Reading(answers[0].text.strip(), sure, not_stated, answers[0].finish_reason == "length")


def _names_alternatives(question: str) -> bool:
    """Whether a question holds its possible answers: "copper or wood?"."""
    joint = _OR.get(language_of(question))
    return bool(joint and joint.search(question))


def _repeats(question: str, answer: str) -> bool:
    """Whether an answer has no word that the question has not: "the pianos" to "What was tied to the pianos?"."""
    language = language_of(question)
    return {*content_words(answer, language)} <= {*content_words(question, language)}


def _is_refusal(text: str) -> bool:
    """ "not stated", also in a few words more: "it is not stated"."""
    return NOT_STATED in text.casefold() and word_count(text) <= REFUSAL
