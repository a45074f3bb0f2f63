"""Which lines of written self-edits may be trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from seal_agent.config import Strictness
from seal_agent.generation.engine import Engine
from seal_agent.self_edits.formats.registry import PASSAGE
from seal_agent.self_edits.parsing import parse
from seal_agent.self_edits.verification import split_notes, verify
from seal_agent.types import SelfEdit


def check_self_edits(
    engine: Engine, title: str, passages: Sequence[str], edits: Sequence[SelfEdit], strictness: Strictness
) -> tuple[SelfEdit, ...]:
    """The same self-edits, with a verdict on each line; as they are where strictness is "off"."""
    (checked,) = check_self_edits_of(engine, [(title, passages)], [edits], strictness)
    return checked


def check_self_edits_of(
    engine: Engine,
    sources: Sequence[tuple[str, Sequence[str]]],
    edits: Sequence[Sequence[SelfEdit]],
    strictness: Strictness,
) -> list[tuple[SelfEdit, ...]]:
    """As `check_self_edits` for several contexts, each given as title and passages, in one batch."""
    if strictness == "off":
        return [tuple(of_source) for of_source in edits]
    written = [
        (title, passages[edit.part], split_notes(parse(edit, title)))
        for (title, passages), of_source in zip(sources, edits, strict=True)
        for edit in of_source
        if _is_unchecked(edit)
    ]
    verdicts = iter(verify(engine, written, strictness))
    return [
        tuple(replace(edit, checked=next(verdicts)) if _is_unchecked(edit) else edit for edit in of_source)
        for of_source in edits
    ]


def _is_unchecked(edit: SelfEdit) -> bool:
    """Derived formats are checked as they are made."""
    return edit.format != PASSAGE and edit.checked is None
