"""Self-edits: their formats, and how they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from seal_agent.config import SelfEditConfig, Strictness
from seal_agent.engine.base import Engine, Progress
from seal_agent.errors import InputError
from seal_agent.inner_loop.lora import LoraAdapter
from seal_agent.knowledge.data import split_document
from seal_agent.knowledge.parsing import notes_of as notes_of
from seal_agent.knowledge.parsing import parse as parse
from seal_agent.knowledge.verification import split_notes, verify
from seal_agent.models import BaseModel
from seal_agent.prompts import fill, load_prompt
from seal_agent.types import Message, SelfEdit

PASSAGE = "passage"
WRITTEN_FORMATS = ("implications", "implications-long", "rewrite", "self-qa")
FORMATS = (PASSAGE, *WRITTEN_FORMATS)


def check_format(name: str) -> None:
    """A bundled format, or a text file of one's own with {context} in it. Raises InputError."""
    if name in FORMATS:
        return
    if name.endswith(".txt"):
        if "{context}" not in load_prompt(name):
            raise InputError(f"the format file {name} has no {{context}}; write {{context}} where the passage belongs")
        return
    raise InputError(f"there is no self-edit format {name!r}; use {', '.join(FORMATS)} or the path of a .txt file")


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
    sources: Sequence[tuple[str, Sequence[str]]],
    config: SelfEditConfig,
    *,
    writer: LoraAdapter | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[tuple[SelfEdit, ...]]:
    """The self-edits of several contexts, each given as title and passages, all written in one batch."""
    for name in config.formats:
        check_format(name)
    asked = [
        (source, part, name, fill(load_prompt(name), title=title, context=passage))
        for source, (title, passages) in enumerate(sources)
        for part, passage in enumerate(passages)
        for name in config.formats
        if name != PASSAGE
        for _ in range(config.per_format)
    ]
    sampling = config.sampling(seed)
    completions = engine.generate(
        [(Message("user", prompt),) for *_, prompt in asked], sampling, [writer] * len(asked), progress
    )
    edits: list[list[SelfEdit]] = [[SelfEdit(PASSAGE)] if PASSAGE in config.formats else [] for _ in sources]
    for index, ((source, part, name, prompt), completion) in enumerate(zip(asked, completions, strict=True)):
        edits[source].append(SelfEdit(name, prompt, completion.text, sampling, seed + index, part))
    return [tuple(of_source) for of_source in edits]


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
        if edit.format != PASSAGE
    ]
    verdicts = iter(verify(engine, written, strictness))
    return [
        tuple(edit if edit.format == PASSAGE else replace(edit, checked=next(verdicts)) for edit in of_source)
        for of_source in edits
    ]
