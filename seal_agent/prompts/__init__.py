"""Prompt templates: one text file each, loaded by name or path, filled by plain replacement."""

from __future__ import annotations

import functools
import re
import unicodedata
from importlib import resources
from pathlib import Path
from typing import Any

from seal_agent.errors import InputError
from seal_agent.types import Message

_TURN = re.compile(r"^\[(system|user|assistant)\]\n", re.MULTILINE)


@functools.cache
def prompt_names() -> tuple[str, ...]:
    """Names of the bundled prompts, sorted. Those in other languages stand in a folder: "de/cue"."""
    root = resources.files(__package__)
    folders = [folder for folder in root.iterdir() if folder.is_dir() and not folder.name.startswith("_")]
    names = [file.name for file in root.iterdir()]
    names += [f"{folder.name}/{file.name}" for folder in folders for file in folder.iterdir()]
    return tuple(sorted(name.removesuffix(".txt") for name in names if name.endswith(".txt")))


def load_prompt(name_or_path: str) -> str:
    """The text of a bundled prompt or of a text file. Raises InputError if there is none, or it is not UTF-8."""
    names = prompt_names()
    if name_or_path in names:
        return resources.files(__package__).joinpath(f"{name_or_path}.txt").read_text(encoding="utf-8").strip()
    path = Path(name_or_path).expanduser()
    if not path.is_file():
        english = ", ".join(name for name in names if "/" not in name)
        raise InputError(f"there is no prompt {name_or_path!r}; use {english} or the path of a text file")
    try:
        return path.read_text(encoding="utf-8").strip()
    except UnicodeDecodeError as err:
        raise InputError(f"the prompt file {path} is not UTF-8 text; save it as UTF-8") from err


def fill(template: str, **values: str) -> str:
    """Replace each {name} by its value, in one pass: braces inside a value stay as they are."""
    parts, remainder = [], template
    while remainder:
        placeholders = [(start, key) for key in values if (start := remainder.find("{" + key + "}")) >= 0]
        if not placeholders:
            break
        start, key = min(placeholders)
        parts += [remainder[:start], values[key]]
        remainder = remainder[start + len(key) + 2 :]
    return "".join([*parts, remainder])


def fill_turns(name_or_path: str, **values: str) -> tuple[Message, ...]:
    """Chat turns from a prompt file in which a line such as "[user]" begins each turn.

    Values are filled in after the file is split into turns, so that a value cannot begin one.
    """
    _, *parts = _TURN.split(load_prompt(name_or_path))
    roles: list[Any] = parts[::2]
    return tuple(Message(role, fill(text.strip(), **values)) for role, text in zip(roles, parts[1::2], strict=True))


def question_prompt(title: str, question: str) -> str:
    """A closed-book question, both for asking and for training (SEAL: topic, then question), with composed accents."""
    prompt = fill(load_prompt("question" if title else "question-untitled"), title=title, question=question)
    return unicodedata.normalize("NFC", prompt)


def question_with_passage(title: str, passage: str, question: str) -> str:
    """An open-book question, with the passage in the prompt: the reference that finetuning is compared with."""
    return fill(load_prompt("question-in-context"), passage=passage, question=question_prompt(title, question))


def reading_prompt(title: str, sentence: str, question: str) -> str:
    """A question about a sentence in view, to be answered with a few of its words."""
    template = load_prompt("read-answer" if title else "read-answer-untitled")
    return fill(template, title=title, sentence=sentence, question=question)
