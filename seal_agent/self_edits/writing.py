"""Writing self-edits about passages, in the formats that a config names."""

from __future__ import annotations

from collections.abc import Sequence

from seal_agent.base_model.model import BaseModel
from seal_agent.config import SelfEditConfig
from seal_agent.generation.engine import Engine
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.progress import Progress
from seal_agent.prompts import fill, load_prompt
from seal_agent.self_edits.formats.format import TitledPassage
from seal_agent.self_edits.formats.registry import DERIVED, PASSAGE, check_format, is_model_written
from seal_agent.text.documents import split_document
from seal_agent.types import Message, SelfEdit

Source = tuple[str, Sequence[str]]
"""A context: its title and its passages."""


def passages_of(base: BaseModel, text: str, limit: int) -> list[str]:
    """The parts of a text, at most `limit` tokens each, that fit the model's window. Raises InputError."""
    room = min(limit, base.window // 2)  # the other half is for the prompt and what is written
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
    """Every format's self-edits of every passage, written by the model (or by its policy adapter)."""
    (edits,) = write_self_edits_for(engine, [(title, passages)], config, writer=writer, seed=seed, progress=progress)
    return edits


def write_self_edits_for(
    engine: Engine,
    sources: Sequence[Source],
    config: SelfEditConfig,
    *,
    writer: LoraAdapter | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[tuple[SelfEdit, ...]]:
    """The self-edits of several contexts, those of one format all in one batch. Raises InputError."""
    for name in config.formats:
        check_format(name)
    edits: list[list[SelfEdit]] = [[SelfEdit(PASSAGE)] if PASSAGE in config.formats else [] for _ in sources]
    for index, edit in _written(engine, sources, config, writer, seed, progress):
        edits[index].append(edit)
    for name in dict.fromkeys(name for name in config.formats if name in DERIVED):
        for index, edit in _derived(engine, sources, name, config, seed, progress):
            edits[index].append(edit)
    return [tuple(of_source) for of_source in edits]


def _written(
    engine: Engine,
    sources: Sequence[Source],
    config: SelfEditConfig,
    writer: LoraAdapter | None,
    seed: int,
    progress: Progress | None,
) -> list[tuple[int, SelfEdit]]:
    """Self-edits of the formats that are one prompt each, with the index of their source."""
    requests = [
        (source, part, name, fill(load_prompt(name), title=title, context=passage))
        for source, (title, passages) in enumerate(sources)
        for part, passage in enumerate(passages)
        for name in config.formats
        if is_model_written(name)
        for _ in range(config.per_format)
    ]
    sampling = config.sampling(seed)
    prompts = [(Message("user", prompt),) for *_, prompt in requests]
    completions = engine.generate(prompts, sampling, [writer] * len(requests), progress)
    return [
        (source, SelfEdit(name, prompt, completion.text, sampling, seed + row, part))
        for row, ((source, part, name, prompt), completion) in enumerate(zip(requests, completions, strict=True))
    ]


def _derived(
    engine: Engine,
    sources: Sequence[Source],
    name: str,
    config: SelfEditConfig,
    seed: int,
    progress: Progress | None,
) -> list[tuple[int, SelfEdit]]:
    """A self-edit of this format for every passage, with the index of its source."""
    passages = [
        (source, part, TitledPassage(title, passage))
        for source, (title, of_source) in enumerate(sources)
        for part, passage in enumerate(of_source)
    ]
    derived = DERIVED[name].derive(engine, [passage for *_, passage in passages], config, seed, progress)
    return [
        (source, SelfEdit(name, seed=seed, part=part, checked=notes.notes, synonyms=notes.synonyms))
        for (source, part, _), notes in zip(passages, derived, strict=True)
    ]
