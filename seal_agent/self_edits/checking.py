"""Decides which notes of a self-edit may be trained on."""

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
    """The self-edits with each note marked as kept or not; unchanged if strictness is "off"."""
    (checked,) = check_self_edits_batch(engine, [(title, passages)], [edits], strictness)
    return checked


def check_self_edits_batch(
    engine: Engine,
    contexts: Sequence[tuple[str, Sequence[str]]],
    edits: Sequence[Sequence[SelfEdit]],
    strictness: Strictness,
) -> list[tuple[SelfEdit, ...]]:
    """`check_self_edits` for several contexts in one batch.

    Args:
        contexts: Title and passages of each context.
        edits: The self-edits of each context.
        strictness: What to remove, see `verification.verify`.
    """
    if strictness == "off":
        return [tuple(context_edits) for context_edits in edits]
    unchecked = [
        (title, passages[edit.part], split_notes(parse(edit, title)))
        for (title, passages), context_edits in zip(contexts, edits, strict=True)
        for edit in context_edits
        if _needs_check(edit)
    ]
    checked_notes = iter(verify(engine, unchecked, strictness))
    return [
        tuple(replace(edit, checked=next(checked_notes)) if _needs_check(edit) else edit for edit in context_edits)
        for context_edits in edits
    ]


def _needs_check(edit: SelfEdit) -> bool:
    """Derived formats were checked when they were written."""
    return edit.format != PASSAGE and edit.checked is None
