"""The last turn of a chat: its title, and the questions in it that an adapter recalls the answers to."""

from __future__ import annotations

import functools
import re

from seal_agent.config import AnswerStyle
from seal_agent.prompts import load_prompt
from seal_agent.self_edits.asking import asks
from seal_agent.self_edits.requesting import is_request
from seal_agent.text.scripts import word_count
from seal_agent.text.sentences import sentences_of
from seal_agent.types import Prompt, Sampling

LONGEST_QUESTION = 60  # words of a turn that may be a question; a longer one brings a text of its own
MOST_QUESTIONS = 4  # that a turn may ask for each to be answered in a few words; not tuned
WHOLE = 3  # words of a question, among several, that can be understood by itself: "When?" cannot


def is_recall(turns: Prompt, sampling: Sampling, style: AnswerStyle) -> bool:
    """Whether the next turn is an answer that an adapter recalls: to a question, greedy, and in no prescribed form."""
    if style == "plain" or sampling.temperature or sampling.grammar or not isinstance(turns, tuple):
        return False
    seen = any(turn.pictures for turn in turns)  # what is in view need not be recalled
    return turns[-1].role == "user" and not seen and is_question(titled(turns[-1].content)[1])


def titled(turn: str) -> tuple[str, str]:
    """The title and the question of a turn that is written as adapters are taught: "Topic: Handbook", then a line."""
    match = _titled().fullmatch(turn.strip())
    return (match["title"].strip(), match["question"].strip()) if match else ("", turn)


@functools.cache
def _titled() -> re.Pattern[str]:
    """The prompt "question" as a pattern."""
    pattern = re.escape(load_prompt("question"))
    for name, part in (("title", r"[^\n]+"), ("question", r"(?s:.+)")):
        pattern = pattern.replace(re.escape(f"{{{name}}}"), f"(?P<{name}>{part})")
    return re.compile(pattern)


def is_question(text: str) -> bool:
    """Whether a turn asks something that a few words can answer."""
    return bool(questions_in(text))


def questions_in(turn: str) -> tuple[str, ...]:
    """The questions of a turn: all of it where it asks one thing; () where it is to be answered freely.

    That is a turn that is long, that requests something, or that asks several things beside other sentences.
    """
    if word_count(turn) > LONGEST_QUESTION:
        return ()
    sentences = sentences_of(turn)
    asking = [sentence for sentence in sentences if asks(sentence)]
    if not asking or any(map(is_request, sentences)):
        return ()
    if len(asking) == 1:
        return (turn,) if asks(turn) else ()
    each = len(asking) == len(sentences) <= MOST_QUESTIONS and min(map(word_count, asking)) >= WHOLE
    return tuple(asking) if each else ()
