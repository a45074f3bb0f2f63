"""Reads contexts and questions from JSON lines, SQuAD files and the hub's SQuAD rows, and plain text files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from seal_agent.errors import InputError
from seal_agent.types import Context, Question

_MALFORMED = (json.JSONDecodeError, KeyError, TypeError, AttributeError)


def read_contexts(path: str | Path) -> list[Context]:
    """Read contexts from a file of JSON lines or of SQuAD v1.1 or v2.

    A JSON line is {"title", "context", "questions": [{"question", "answer"}]}. Raises InputError, which names the file
    and the line.
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
    """Contexts of the hub's `rajpurkar/squad`, which has one row per question; in order of their first questions."""
    grouped: dict[tuple[str, str], list[Question]] = {}
    for row in rows:
        golds = tuple(dict.fromkeys(row["answers"]["text"]))
        if golds:
            key = (_decode_title(row["title"]), row["context"])
            grouped.setdefault(key, []).append(Question(row["question"].strip(), golds))
    return [Context(text, title, tuple(questions)) for (title, text), questions in grouped.items()]


def read_text(path: str | Path) -> str:
    """Read a text file. Raises InputError if it is missing, binary, not UTF-8, or empty."""
    path = Path(path).expanduser()
    try:
        raw = path.read_bytes()
    except FileNotFoundError as err:
        raise InputError(f"there is no file {path}; check the path") from err
    except OSError as err:
        raise InputError(f"{path} cannot be read ({err.strerror}); give a readable text file") from err
    if b"\0" in raw:
        raise InputError(f"{path} is a binary file; give plain text (convert PDF or Word first)")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as err:
        raise InputError(f"{path} is not UTF-8 text (byte {err.start}); save it as UTF-8") from err
    if not text.strip():
        raise InputError(f"{path} is empty; give a text to learn from")
    return text


def contexts_from_lines(text: str, source: str) -> list[Context]:
    """Contexts of the text of a JSON lines file; InputError names it as `source`."""
    contexts = []
    for number, line in enumerate(_split_lines(text), 1):
        if line.strip():
            try:
                contexts.append(context_from_row(json.loads(line)))
            except _MALFORMED as err:
                raise InputError(
                    f"line {number} of {source} is not a passage ({_detail(err)}); "
                    'each line is {"title", "context", "questions": [{"question", "answer"}]}'
                ) from err
    if not contexts:
        raise InputError(f"{source} holds no passages")
    return contexts


def context_from_row(row: Mapping[str, Any]) -> Context:
    """The context of one parsed JSON line. Raises KeyError, TypeError or AttributeError if it is malformed."""
    questions = tuple(_question(question) for question in row.get("questions", ()))
    return Context(_require_text(row["context"]), _decode_title(row.get("title", "")), questions)


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
    return tuple(
        Question(row["question"].strip(), golds)
        for row in rows
        if (golds := tuple(dict.fromkeys(answer["text"] for answer in row.get("answers", ()))))
    )


def _decode_title(title: str) -> str:
    """A SQuAD title is the end of a web address, with underscores and sometimes %-escapes."""
    return unquote(title).replace("_", " ").strip()
