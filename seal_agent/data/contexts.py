"""Reads contexts and questions from JSON lines, SQuAD files and the hub's SQuAD rows, and plain text files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from seal_agent.data.text_files import read_text
from seal_agent.errors import InputError
from seal_agent.types import Context, Question

_MALFORMED = (json.JSONDecodeError, KeyError, TypeError, AttributeError)


def read_contexts(path: str | Path) -> list[Context]:
    """Read contexts from a file of JSON lines or of SQuAD v1.1 or v2.

    A JSON line is {"title", "context", "questions": [{"question", "answer"}]}, or a row of the hub's `rajpurkar/squad`.
    Raises InputError, which names the file and the line.
    """
    text = read_text(path)
    try:
        document = json.loads(text)
    except json.JSONDecodeError:
        return contexts_from_lines(text, str(path))
    if not isinstance(document, dict) or "data" not in document:
        return contexts_from_lines(text, str(path))
    try:
        return from_squad(document)
    except _MALFORMED as err:
        raise InputError(f"{path} is not a SQuAD v1.1 or v2 file ({_detail(err)}); give one as published") from err


def read_questions(path: str | Path) -> tuple[Question, ...]:
    """Read questions from JSON lines {"question", "answer"}; an answer may be a list of aliases. Raises InputError."""
    questions = []
    for number, line in enumerate(_split_lines(read_text(path)), 1):
        if line.strip():
            try:
                questions.append(_question(json.loads(line)))
            except _MALFORMED as err:
                raise InputError(
                    f'line {number} of {path} is not a question ({_detail(err)}); each line is {{"question", "answer"}}'
                ) from err
    return tuple(questions)


def from_squad(document: Mapping[str, Any]) -> list[Context]:
    """Contexts of a parsed SQuAD v1.1 or v2 document, without v2's unanswerable questions."""
    return [
        Context(paragraph["context"], _decode_title(article.get("title", "")), _squad_questions(paragraph["qas"]))
        for article in document["data"]
        for paragraph in article["paragraphs"]
    ]


def from_squad_rows(rows: Iterable[Mapping[str, Any]]) -> list[Context]:
    """Contexts of the hub's `rajpurkar/squad`, which has one row per question; in order of their first questions.

    The rows of a passage need not follow each other.
    """
    return _grouped(map(_context_from_squad_row, rows))


def contexts_from_lines(text: str, source: str) -> list[Context]:
    """Contexts of the text of a JSON lines file; InputError names it as `source`."""
    contexts: list[Context] = []
    of_hub = False
    for number, line in enumerate(_split_lines(text), 1):
        if line.strip():
            try:
                row = json.loads(line)
                of_hub = of_hub or (not contexts and "answers" in row and "context" in row)
                contexts.append(_context_from_squad_row(row) if of_hub else context_from_row(row))
            except _MALFORMED as err:
                raise InputError(
                    f"line {number} of {source} is not a passage ({_detail(err)}); "
                    'each line is {"title", "context", "questions": [{"question", "answer"}]}'
                ) from err
    contexts = _grouped(contexts) if of_hub else contexts
    if not contexts:
        raise InputError(f"{source} holds no passages")
    return contexts


def context_from_row(row: Mapping[str, Any]) -> Context:
    """The context of one parsed JSON line. Raises KeyError, TypeError or AttributeError if it is malformed."""
    questions = tuple(_question(question) for question in row.get("questions", ()))
    title = row.get("title", "")
    return Context(_require_text(row["context"]), _require_text(title).strip() if title != "" else "", questions)


def _context_from_squad_row(row: Mapping[str, Any]) -> Context:
    """The context of a row of the hub's SQuAD, with one question, or none where it is unanswerable."""
    return Context(_require_text(row["context"]), _decode_title(row.get("title", "")), _squad_questions([row]))


def _grouped(contexts: Iterable[Context]) -> list[Context]:
    """One context for each passage, with all of its questions; passages without any are left out."""
    questions: dict[tuple[str, str], list[Question]] = {}
    for context in contexts:
        if context.questions:
            questions.setdefault((context.title, context.text), []).extend(context.questions)
    return [Context(text, title, tuple(of_passage)) for (title, text), of_passage in questions.items()]


def _question(row: Mapping[str, Any]) -> Question:
    return Question(_require_text(row["question"]).strip(), _golds(row["answer"]))


def _golds(answer: str | list[str]) -> tuple[str, ...]:
    return (answer,) if isinstance(answer, str) else tuple(map(_require_text, answer))


def _require_text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise TypeError(f"{value!r} stands where a text belongs")
    return value


def _split_lines(text: str) -> list[str]:
    """Lines of a JSON lines file. Only a line feed ends one: JSON strings may hold the other separators."""
    return text.split("\n")


def _detail(err: Exception) -> str:
    return f"{type(err).__name__}: {err}"


def _squad_questions(rows: Iterable[Mapping[str, Any]]) -> tuple[Question, ...]:
    """The questions that have an answer. A file lists the answers of each; the hub, lists of texts and of places."""
    return tuple(
        Question(row["question"].strip(), golds) for row in rows if (golds := tuple(dict.fromkeys(_texts_of(row))))
    )


def _texts_of(row: Mapping[str, Any]) -> list[str]:
    answers = row.get("answers", ())
    return answers["text"] if isinstance(answers, Mapping) else [answer["text"] for answer in answers]


def _decode_title(title: str) -> str:
    """A SQuAD title is the end of a web address, with underscores and sometimes %-escapes."""
    return unquote(title).replace("_", " ").strip()
