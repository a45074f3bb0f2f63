"""The contexts that come with the package."""

from __future__ import annotations

import json
from importlib import resources

from seal_agent.data.contexts import context_from_row, contexts_from_lines
from seal_agent.types import Context


def novel() -> list[Context]:
    """The bundled 40 passages of invented facts, with 6 questions each."""
    return contexts_from_lines(_read("novel.jsonl"), "novel.jsonl")


def demo() -> Context:
    """The invented passage that `seal demo` learns."""
    return context_from_row(json.loads(_read("demo.json")))


def _read(name: str) -> str:
    return (resources.files("seal_agent") / "data" / name).read_text(encoding="utf-8")
