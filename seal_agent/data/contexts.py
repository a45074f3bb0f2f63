"""Passages and their questions: our JSON lines, SQuAD files, the hub's SQuAD rows, and plain documents."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from seal_agent.errors import InputError
from seal_agent.types import Context, Question


def read_contexts(path: str | Path) -> list[Context]:
    """Contexts from JSON lines {"title", "context", "questions": [{"question", "answer"}]}, or a SQuAD v1.1/v2 file.

    Raises InputError that names the file and the line.
    """
    text = read_text(path)
    try:
        whole = json.loads(text)
    except json.JSONDecodeError:
        return contexts_from_lines(text, str(path))
    if not isinstance(whole, dict) or "data" not in whole:
        return contexts_from_lines(text, str(path))
    try:
        return from_squad(whole)
    except _MALFORMED as err:
        raise InputError(f"{path} is not a SQuAD v1.1 or v2 file ({_brief(err)}); give one as published") from err


def read_questions(path: str | Path) -> tuple[Question, ...]:
    """Questions from JSON lines {"question", "answer"}; the answer may be a list of aliases. Raises InputError."""
    questions = []
    for number, line in enumerate(_lines(read_text(path)), 1):
        if line.strip():
            try:
                questions.append(_question(json.loads(line)))
            except _MALFORMED as err:
                raise InputError(
                    f'line {number} of {path} is not a question ({_brief(err)}); each line is {{"question", "answer"}}'
                ) from err
    return tuple(questions)


def from_squad(document: Mapping[str, Any]) -> list[Context]:
    """Contexts of a SQuAD v1.1 or v2 document; v2's unanswerable questions are left out."""
    return [
        Context(paragraph["context"], _readable(article.get("title", "")), _squad_questions(paragraph["qas"]))
        for article in document["data"]
        for paragraph in article["paragraphs"]
    ]


def from_squad_rows(rows: Iterable[Mapping[str, Any]]) -> list[Context]:
    """Contexts of the hub's `rajpurkar/squad`: one row per question, grouped by passage in order."""
    grouped: dict[tuple[str, str], list[Question]] = {}
    for row in rows:
        golds = tuple(dict.fromkeys(row["answers"]["text"]))
        if golds:
            key = (_readable(row["title"]), row["context"])
            grouped.setdefault(key, []).append(Question(row["question"].strip(), golds))
    return [Context(text, title, tuple(questions)) for (title, text), questions in grouped.items()]


def read_text(path: str | Path) -> str:
    """A text file's content. Raises InputError where it is missing, binary, not UTF-8, or empty."""
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


# ---------------------------------------------------------------- long documents


# ---------------------------------------------------------------- rows

_MALFORMED = (json.JSONDecodeError, KeyError, TypeError, AttributeError)


def contexts_from_lines(text: str, source: str) -> list[Context]:
    contexts = []
    for number, line in enumerate(_lines(text), 1):
        if line.strip():
            try:
                contexts.append(context_from_row(json.loads(line)))
            except _MALFORMED as err:
                raise InputError(
                    f"line {number} of {source} is not a passage ({_brief(err)}); "
                    'each line is {"title", "context", "questions": [{"question", "answer"}]}'
                ) from err
    if not contexts:
        raise InputError(f"{source} holds no passages")
    return contexts


def context_from_row(row: Mapping[str, Any]) -> Context:
    questions = tuple(_question(q) for q in row.get("questions", ()))
    return Context(_text(row["context"]), _readable(row.get("title", "")), questions)


def _question(row: Mapping[str, Any]) -> Question:
    return Question(_text(row["question"]).strip(), _golds(row["answer"]))


def _golds(answer: str | list[str]) -> tuple[str, ...]:
    return (answer,) if isinstance(answer, str) else tuple(map(_text, answer))


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise TypeError(f"{value!r} stands where a text belongs")
    return value


def _lines(text: str) -> list[str]:
    """Lines of a JSON lines file: only a line feed ends one, since JSON texts may hold the other separators."""
    return text.split("\n")


def _brief(err: Exception) -> str:
    return f"{type(err).__name__}: {err}"


def _squad_questions(rows: Iterable[Mapping[str, Any]]) -> tuple[Question, ...]:
    return tuple(
        Question(row["question"].strip(), golds)
        for row in rows
        if (golds := tuple(dict.fromkeys(a["text"] for a in row.get("answers", ()))))
    )


def _readable(title: str) -> str:
    """SQuAD's titles are the ends of web addresses: underscores, and %-escapes here and there."""
    from urllib.parse import unquote

    return unquote(title).replace("_", " ").strip()
