"""Question-answer pairs in model-written text: labelled or not, on one line or several, answers at the end or not."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from seal_agent.text.lines import Line, clean, words
from seal_agent.types import Note

_QUESTION = re.compile(r"(?:question|Q)\s*#?(\d*)\s*[:.)]\s*(.*)$", re.IGNORECASE)
_ANSWER = re.compile(r"(?:(?:the )?answer|ans|A)\s*#?(\d*)\s*:\s*(.*)$", re.IGNORECASE)
_SAME_LINE = re.compile(r"\s+(?:[Aa]nswer|Ans|A)\s*#?\d*\s*:\s*")
_CHOICE = re.compile(r"\(?([A-H])(?:[.)]\s*|$)")


@dataclass(slots=True)
class _Asked:
    """A question on its way to a pair."""

    number: int
    question: str
    answer: str = ""
    options: dict[str, str] = field(default_factory=dict)


def looks_like_questions(lines: Sequence[Line]) -> bool:
    """Whether some line is labelled as a question and some line as an answer."""
    return any(_QUESTION.match(line.text) for line in lines) and any(_ANSWER.match(line.text) for line in lines)


def read_pairs(lines: Sequence[Line]) -> list[Note]:
    """Pairs whose two sides say something. A first question may lack its label: prompts often end with it.

    A numbering that starts again from 1 is the model on its next, invented task, and ends the reading.
    """
    asked: list[_Asked] = []
    for line in lines:
        if found := _QUESTION.match(line.text):
            if found.group(1) == "1" and len(asked) > 1:
                break
            asked.append(_opened(found.group(2), int(found.group(1) or len(asked) + 1)))
        elif found := _ANSWER.match(line.text):
            _answer(asked, found.group(1), found.group(2))
        elif line.option and asked and not asked[-1].answer:
            asked[-1].options[line.option] = _CHOICE.sub("", line.text, count=1)
        else:
            _unlabelled(asked, line)
    return [Note(one.question, answer) for one in asked if (answer := _chosen(one)) and _asks(one.question)]


def _opened(text: str, number: int) -> _Asked:
    question, *answer = _SAME_LINE.split(text, maxsplit=1)
    return _Asked(number, clean(question), clean(answer[0]) if answer else "")


def _answer(asked: Sequence[_Asked], number: str, text: str) -> None:
    """Give an answer to the unanswered question of its number, else to the last one if that is unanswered."""
    open_ones = [one for one in asked if not one.answer]
    numbered = [one for one in open_ones if number and one.number == int(number)]
    if target := next(iter([*numbered[-1:], *(one for one in open_ones if one is asked[-1])]), None):
        target.answer = text.strip()


def _unlabelled(asked: list[_Asked], line: Line) -> None:
    last = asked[-1] if asked else None
    is_question = line.text.endswith("?") or bool(_SAME_LINE.search(line.text))
    if last and not last.question:
        last.question = line.text
    elif last is None or is_question:
        asked.append(_opened(line.text, len(asked) + 1))
    elif not last.answer:
        last.answer = line.text
    elif not line.gap:  # an answer of several lines; behind an empty line it is a remark
        last.answer += (" " if last.answer[-1] in ".:;,!?" else ", ") + line.text


def _chosen(one: _Asked) -> str:
    """The answer; where it names an option, the option's text; a lone "A. …" is an answer with a short label."""
    if not one.answer and len(one.options) == 1:
        return next(iter(one.options.values()))
    choice = _CHOICE.match(one.answer) if one.options else None
    if choice:
        return clean(one.answer[choice.end() :]) or one.options.get(choice.group(1), "")
    return clean(one.answer)


def _asks(question: str) -> bool:
    """At least two words, and no blank to fill in."""
    return " " in words(question) and "__" not in question
