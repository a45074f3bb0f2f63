"""Writes self-edits about passages, in the formats that a config names."""

from __future__ import annotations

from collections.abc import Sequence

from seal_agent.base_model.model import BaseModel
from seal_agent.config import SelfEditConfig
from seal_agent.generation.engine import Engine
from seal_agent.generation.sampling import seed_of_row
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.progress import Progress
from seal_agent.prompts import fill, load_prompt
from seal_agent.self_edits.formats.format import TitledPassage
from seal_agent.self_edits.formats.registry import DERIVED, PASSAGE, check_format, is_model_written
from seal_agent.text.documents import split_document
from seal_agent.types import Message, SelfEdit

TitledPassages = tuple[str, Sequence[str]]
"""The title and the passages of a context."""


def passages_of(base: BaseModel, text: str, limit: int) -> list[str]:
    """Split a text into passages of at most `limit` tokens that fit the model's window. Raises InputError."""
    room = min(limit, base.window // 2)  # the other half is for the prompt and the completion
    return split_document(text, lambda part: len(base.tokens(part)), room)


def write_self_edits(
    engine: Engine,
    title: str,
    passages: Sequence[str],
    config: SelfEditConfig,
    *,
    writer: LoraAdapter | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> tuple[SelfEdit, ...]:
    """Write the self-edits of one context: every format about every passage. Raises InputError.

    Args:
        engine: The model that writes.
        title: Of the context, "" if it has none.
        passages: Parts of the context, as `passages_of` splits them.
        config: Formats, how many self-edits of each, and sampling.
        writer: The policy's adapter; None for the base model.
        seed: Of the first self-edit.
        progress: Called as the engine generates.
    """
    (edits,) = write_self_edits_batch(engine, [(title, passages)], config, writer=writer, seed=seed, progress=progress)
    return edits


def write_self_edits_batch(
    engine: Engine,
    contexts: Sequence[TitledPassages],
    config: SelfEditConfig,
    *,
    writer: LoraAdapter | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[tuple[SelfEdit, ...]]:
    """`write_self_edits` for several contexts, in one batch. Each derived format has a batch of its own."""
    for name in config.formats:
        check_format(name)
    edits: list[list[SelfEdit]] = [[SelfEdit(PASSAGE)] if PASSAGE in config.formats else [] for _ in contexts]
    for index, edit in _write_prompted(engine, contexts, config, writer, seed, progress):
        edits[index].append(edit)
    for name in dict.fromkeys(name for name in config.formats if name in DERIVED):
        for index, edit in _write_derived(engine, contexts, name, config, seed, progress):
            edits[index].append(edit)
    return [tuple(context_edits) for context_edits in edits]


def _write_prompted(
    engine: Engine,
    contexts: Sequence[TitledPassages],
    config: SelfEditConfig,
    writer: LoraAdapter | None,
    seed: int,
    progress: Progress | None,
) -> list[tuple[int, SelfEdit]]:
    """Self-edits of the formats that are one prompt about a passage, each with the index of its context."""
    requests = [
        (index, part, name, fill(load_prompt(name), title=title, context=passage))
        for index, (title, passages) in enumerate(contexts)
        for part, passage in enumerate(passages)
        for name in config.formats
        if is_model_written(name)
        for _ in range(config.per_format)
    ]
    sampling = config.sampling(seed)
    prompts = [(Message("user", prompt),) for *_, prompt in requests]
    completions = engine.generate(prompts, sampling, [writer] * len(requests), progress)
    return [
        (index, SelfEdit(name, prompt, completion.text, sampling, seed_of_row(seed, row), part))
        for row, ((index, part, name, prompt), completion) in enumerate(zip(requests, completions, strict=True))
    ]


def _write_derived(
    engine: Engine,
    contexts: Sequence[TitledPassages],
    name: str,
    config: SelfEditConfig,
    seed: int,
    progress: Progress | None,
) -> list[tuple[int, SelfEdit]]:
    """One self-edit of a derived format for every passage, each with the index of its context."""
    passages = [
        (index, part, TitledPassage(title, passage))
        for index, (title, context_passages) in enumerate(contexts)
        for part, passage in enumerate(context_passages)
    ]
    derived = DERIVED[name].derive(engine, [passage for *_, passage in passages], config, seed, progress)
    return [
        (index, SelfEdit(name, seed=seed, part=part, checked=notes.notes, synonyms=notes.synonyms))
        for (index, part, _), notes in zip(passages, derived, strict=True)
    ]
