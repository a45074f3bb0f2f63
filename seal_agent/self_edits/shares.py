"""Equal shares: every written format gets the same part of the tokens that are trained on (SPA, arXiv 2603.22213).

Formats differ in how much they write, and how much of it survives verification. Those below the mean are written again,
and what goes beyond the mean is dropped. A format that is still short after `MORE_ROUNDS` stays short.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import fmean

from seal_agent.config import SelfEditConfig
from seal_agent.generation.engine import Engine
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.progress import Progress
from seal_agent.seeds import derived_seed
from seal_agent.self_edits.checking import check_self_edits_batch
from seal_agent.self_edits.formats.registry import is_model_written
from seal_agent.self_edits.parsing import parse
from seal_agent.self_edits.writing import TitledPassages, write_self_edits_batch
from seal_agent.types import CheckedNote, Note, SelfEdit

MORE_ROUNDS = 2  # not tuned; each costs as much as the first for the formats that are short
BEYOND = "is beyond the equal share of its format"

CountTokens = Callable[[str], int]
Edits = tuple[SelfEdit, ...]


def with_equal_shares(
    engine: Engine,
    contexts: Sequence[TitledPassages],
    edits: Sequence[Edits],
    config: SelfEditConfig,
    count_tokens: CountTokens,
    *,
    writer: LoraAdapter | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[Edits]:
    """The checked self-edits of each context with equal shares for its written formats; more are written if needed.

    Args:
        contexts: Title and passages of each context.
        edits: The self-edits of each context, checked as `config.verify` says.
        count_tokens: Tokens of a note.
        writer: The policy's adapter; None for the base model.
        seed: Of the first self-edits; those that are added have seeds derived from it.
    """
    formats = [name for name in dict.fromkeys(config.formats) if is_model_written(name)]
    if len(formats) < 2:
        return list(edits)
    titles = [title for title, _ in contexts]
    whole = [_marked(of_context, title) for of_context, title in zip(edits, titles, strict=True)]
    shares = [fmean(_tokens(of_context, name, count_tokens) for name in formats) for of_context in whole]
    for round_ in range(MORE_ROUNDS):
        for name in formats:
            short = [i for i, share in enumerate(shares) if _tokens(whole[i], name, count_tokens) < share]
            if not short:
                continue
            only = replace(config, formats=(name,))
            more_seed = derived_seed(seed, "shares", name, round_)
            chosen = [contexts[i] for i in short]
            more = write_self_edits_batch(engine, chosen, only, writer=writer, seed=more_seed, progress=progress)
            checked = check_self_edits_batch(engine, chosen, more, config.verify)
            for i, added in zip(short, checked, strict=True):
                whole[i] = (*whole[i], *_marked(added, titles[i]))
    return [_cut(of_context, formats, share, count_tokens) for of_context, share in zip(whole, shares, strict=True)]


def _marked(edits: Edits, title: str) -> Edits:
    """The self-edits with their notes, each marked as kept where nobody checked it."""
    return tuple(
        replace(edit, checked=tuple(CheckedNote(note, True) for note in parse(edit, title)))
        if edit.checked is None and is_model_written(edit.format)
        else edit
        for edit in edits
    )


def _tokens(edits: Edits, name: str, count_tokens: CountTokens) -> int:
    """Tokens of a format's notes that are kept."""
    checked = (note for edit in edits if edit.format == name for note in edit.checked or ())
    return sum(count_tokens(_text(note.note)) for note in checked if note.kept)


def _cut(edits: Edits, formats: Sequence[str], share: float, count_tokens: CountTokens) -> Edits:
    """The self-edits without the notes that begin beyond their format's share."""
    left = dict.fromkeys(formats, share)
    cut = []
    for edit in edits:
        if edit.format not in left:
            cut.append(edit)
            continue
        notes = []
        for note in edit.checked or ():
            if note.kept and left[edit.format] <= 0:
                note = replace(note, kept=False, reason=BEYOND)
            elif note.kept:
                left[edit.format] -= count_tokens(_text(note.note))
            notes.append(note)
        cut.append(replace(edit, checked=tuple(notes)))
    return tuple(cut)


def _text(note: Note) -> str:
    return " ".join(filter(None, (note.text, note.answer)))
