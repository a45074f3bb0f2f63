"""Reads question-answer pairs from model-written text.

Labels may be missing, a pair may stand on one line or several, and the answers may all come at the end.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from seal_agent.text.lines import Line, has_two_words, strip_markup
from seal_agent.types import Note

PAIRED_FORMATS = ("self-qa", "critical-qa")
"""Written formats whose notes are questions with answers."""

_QUESTION_LABELS = "question|Q|Frage|pregunta|domanda|pergunta|vraag|вопрос|问题|問題|質問|질문|问"
_ANSWER_LABELS = "Antwort|réponse|respuesta|risposta|resposta|antwoord|ответ|答案|回答|답변|답|答"
_QUESTION = re.compile(rf"(?:{_QUESTION_LABELS})\s*#?(\d*)\s*[:.)：]\s*(.*)$", re.IGNORECASE)
_ANSWER = re.compile(rf"(?:(?:the )?answer|ans|A|{_ANSWER_LABELS})\s*#?(\d*)\s*[:：]\s*(.*)$", re.IGNORECASE)
_SAME_LINE = re.compile(rf"\s+(?:[Aa]nswer|Ans|A|{_ANSWER_LABELS})\s*#?\d*\s*[:：]\s*")
_CHOICE = re.compile(r"\(?([A-H])(?:[.)]\s*|$)")


@dataclass(slots=True)
class _DraftPair:
    """A question, and what is read of its answer so far."""

    number: int
    question: str
    answer: str = ""
    options: dict[str, str] = field(default_factory=dict)


def looks_like_questions(lines: Sequence[Line]) -> bool:
    """Whether some line is labelled as a question and some line as an answer."""
    return any(_QUESTION.match(line.text) for line in lines) and any(_ANSWER.match(line.text) for line in lines)


def read_pairs(lines: Sequence[Line]) -> list[Note]:
    """The pairs that have both a question and an answer.

    The first question may lack its label, since prompts often end with it. A numbering that starts again from 1 ends
    the reading: there the model goes on to a task of its own invention.
    """
    pairs: list[_DraftPair] = []
    for line in lines:
        if match := _QUESTION.match(line.text):
            if match.group(1) == "1" and len(pairs) > 1:
                break
            pairs.append(_new_pair(match.group(2), int(match.group(1) or len(pairs) + 1)))
        elif match := _ANSWER.match(line.text):
            _add_answer(pairs, match.group(1), match.group(2))
        elif line.option and pairs and not pairs[-1].answer:
            pairs[-1].options[line.option] = _CHOICE.sub("", line.text, count=1)
        else:
            _add_unlabelled(pairs, line)
    return [
        Note(pair.question, answer) for pair in pairs if (answer := _final_answer(pair)) and _is_usable(pair.question)
    ]


def _new_pair(text: str, number: int) -> _DraftPair:
    question, *answer = _SAME_LINE.split(text, maxsplit=1)
    return _DraftPair(number, strip_markup(question), strip_markup(answer[0]) if answer else "")


def _add_answer(pairs: Sequence[_DraftPair], number: str, text: str) -> None:
    """Add an answer to the unanswered question of its number, else to the last question if that is unanswered."""
    unanswered = [pair for pair in pairs if not pair.answer]
    same_number = [pair for pair in unanswered if number and pair.number == int(number)]
    if target := next(iter([*same_number[-1:], *(pair for pair in unanswered if pair is pairs[-1])]), None):
        target.answer = text.strip()


def _add_unlabelled(pairs: list[_DraftPair], line: Line) -> None:
    last = pairs[-1] if pairs else None
    is_question = line.text.endswith(("?", "？", "؟")) or bool(_SAME_LINE.search(line.text))
    if last and not last.question:
        last.question = line.text
    elif last is None or is_question:
        pairs.append(_new_pair(line.text, len(pairs) + 1))
    elif not last.answer:
        last.answer = line.text
    elif not line.after_blank:  # an answer of several lines; after an empty line it is a comment
        last.answer += (" " if last.answer[-1] in ".:;,!?" else ", ") + line.text


def _final_answer(pair: _DraftPair) -> str:
    """The answer, or the text of the option that it names. A single option without an answer is the answer."""
    if not pair.answer and len(pair.options) == 1:
        return next(iter(pair.options.values()))
    choice = _CHOICE.match(pair.answer) if pair.options else None
    if choice:
        return strip_markup(pair.answer[choice.end() :]) or pair.options.get(choice.group(1), "")
    return strip_markup(pair.answer)


def _is_usable(question: str) -> bool:
    """At least two words, and no blank to fill in."""
    return has_two_words(question) and "__" not in question
