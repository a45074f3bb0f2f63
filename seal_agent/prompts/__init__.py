"""Prompts as text files: one file each, loaded by name or by path, filled by plain replacement."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path
from typing import Any

from seal_agent.errors import InputError
from seal_agent.types import Message


def prompt_names() -> list[str]:
    """Names of the bundled prompts, sorted."""
    files = resources.files(__package__).iterdir()
    return sorted(f.name.removesuffix(".txt") for f in files if f.name.endswith(".txt"))


def load_prompt(name_or_path: str) -> str:
    """The text of a bundled prompt, or of a file of the caller's own. Raises InputError."""
    if name_or_path in prompt_names():
        return (resources.files(__package__) / f"{name_or_path}.txt").read_text(encoding="utf-8").strip()
    path = Path(name_or_path).expanduser()
    if not path.is_file():
        raise InputError(
            f"there is no prompt {name_or_path!r}; use {', '.join(prompt_names())} or the path of a text file"
        )
    try:
        return path.read_text(encoding="utf-8").strip()
    except UnicodeDecodeError as err:
        raise InputError(f"the prompt file {path} is not UTF-8 text; save it as UTF-8") from err


def fill(template: str, **values: str) -> str:
    """Replace {name} by its value, in one pass: braces inside a value stay as they are."""
    out, rest = [], template
    while rest:
        found = [(at, key) for key in values if (at := rest.find("{" + key + "}")) >= 0]
        if not found:
            break
        at, key = min(found)
        out += [rest[:at], values[key]]
        rest = rest[at + len(key) + 2 :]
    return "".join([*out, rest])


_TURN = re.compile(r"^\[(system|user|assistant)\]\n", re.MULTILINE)


def fill_turns(name_or_path: str, **values: str) -> tuple[Message, ...]:
    """The turns of a chat from a prompt file that names the speaker of each, as "[user]" alone on a line.

    Values are filled in after the file is cut into turns, so that nothing in a value begins one.
    """
    _, *parts = _TURN.split(load_prompt(name_or_path))
    roles: list[Any] = parts[::2]
    return tuple(Message(role, fill(text.strip(), **values)) for role, text in zip(roles, parts[1::2], strict=True))


def question_prompt(title: str, question: str) -> str:
    """A question without its passage, as it is asked and as it is trained on (SEAL: topic, then question)."""
    return fill(load_prompt("question" if title else "question-untitled"), title=title, question=question)


def question_with_passage(title: str, passage: str, question: str) -> str:
    """The same question with the passage in view: what finetuning is measured against."""
    return fill(load_prompt("question-in-context"), passage=passage, question=question_prompt(title, question))
