"""The contexts that come with the package."""

from __future__ import annotations

import functools
import json
from importlib import resources

from seal_agent.data.contexts import context_from_row, contexts_from_lines
from seal_agent.errors import InputError
from seal_agent.types import Context, Question, ReadingPassage, ReferenceText

NOVEL_FILES = {"en": "novel.jsonl", "de": "novel_de.jsonl", "es": "novel_es.jsonl"}


def novel(language: str = "en") -> list[Context]:
    """The bundled passages of invented facts: 40 in English with 6 questions each, 8 each in German and Spanish.

    Raises InputError for any other language.
    """
    if language not in NOVEL_FILES:
        raise InputError(f"there are no bundled passages in {language!r}; use one of {', '.join(NOVEL_FILES)}")
    return contexts_from_lines(_read(NOVEL_FILES[language]), NOVEL_FILES[language])


def demo() -> Context:
    """The invented passage that `seal demo` learns."""
    return context_from_row(json.loads(_read("demo.json")))


def reading_passages() -> list[ReadingPassage]:
    """The bundled passages by which models learn to read: invented facts in ten languages, mostly English."""
    rows = [json.loads(line) for line in _read("reading.jsonl").splitlines()]
    return [
        ReadingPassage(
            row["title"],
            tuple(row["sentences"]),
            tuple((item["sentence"], item["question"], item["answer"]) for item in row["questions"]),
            tuple(row["not_stated"]),
        )
        for row in rows
    ]


def guard_questions() -> tuple[Question, ...]:
    """General questions, all of which the bundled model answers: what no lesson should change."""
    rows = [json.loads(line) for line in _read("guard.jsonl").splitlines()]
    return tuple(Question(row["question"], tuple(row["answers"])) for row in rows)


@functools.cache
def reference_texts() -> tuple[ReferenceText, ...]:
    """Texts of the bundled model's own, in English: 64 everyday openings, each continued once and answered once."""
    return tuple(ReferenceText(**json.loads(line)) for line in _read("reference.jsonl").splitlines())


def _read(name: str) -> str:
    return (resources.files("seal_agent") / "data" / name).read_text(encoding="utf-8")
