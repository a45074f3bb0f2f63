"""Reading: what the reader finds in a text that an adapter recalled."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from seal_agent.answering.reader import NOT_STATED
from seal_agent.generation.engine import Engine
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.prompts import reading_prompt
from seal_agent.text.languages import language_of
from seal_agent.text.scripts import word_count
from seal_agent.text.words import content_words
from seal_agent.types import Message, Sampling

MAX_TOKENS = 24
REFUSAL = 5  # words of a sentence that only says that nothing is stated


@dataclass(frozen=True, slots=True)
class Reading:
    """The words of a text that answer a question.

    `sure` is the probability of their first token, and `not_stated` that of an answer which says that there is none.
    """

    text: str
    sure: float
    not_stated: float


def read(engine: Engine, reader: LoraAdapter | None, rows: Sequence[tuple[str, str, str]]) -> list[Reading]:
    """What each text says in answer to a question.

    Args:
        reader: Whose answers; None for the base model's.
        rows: (title, text, question).
    """
    prompts = [(Message("user", reading_prompt(*row)),) for row in rows]
    branches = engine.branches(prompts, Sampling(MAX_TOKENS), 2, [reader] * len(prompts))
    readings = []
    for (_, _, question), completions in zip(rows, branches, strict=True):
        answers = [c for c in completions if not _is_refusal(c.text)]
        refused = [c for c in completions if _is_refusal(c.text)]
        answers = [c for c in answers if not _repeats(question, c.text)] or answers
        sure, not_stated = (math.exp(found[0].logprobs[0]) if found else 0.0 for found in (answers, refused))
        readings.append(Reading(answers[0].text.strip() if answers else "", sure, not_stated))
    return readings


def _repeats(question: str, answer: str) -> bool:
    """Whether an answer has no word that the question has not: "the pianos" to "What was tied to the pianos?"."""
    language = language_of(question)
    return {*content_words(answer, language)} <= {*content_words(question, language)}


def _is_refusal(text: str) -> bool:
    """ "not stated", also in a few words more: "it is not stated"."""
    return NOT_STATED in text.casefold() and word_count(text) <= REFUSAL
