"""The pictures of contexts: looked at once, and learnt as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from seal_agent.base_model.model import BaseModel
from seal_agent.config import PictureConfig, SelfEditConfig
from seal_agent.errors import InputError
from seal_agent.generation.engine import Engine
from seal_agent.progress import Progress
from seal_agent.prompts import load_prompt
from seal_agent.self_edits.formats.registry import IN_VIEW, PICTURE
from seal_agent.self_edits.pictures import Seen, look_at
from seal_agent.self_edits.writing import passages_of
from seal_agent.types import Context, SelfEdit


def look_at_each(
    engine: Engine,
    base: BaseModel,
    contexts: Sequence[Context],
    config: PictureConfig,
    seed: int,
    progress: Progress | None = None,
) -> list[list[Seen]]:
    """What the model sees in each picture of each context, all pictures in one batch.

    Raises InputError for a model that does not see.
    """
    rows = [(context.title, image) for context in contexts for image in context.images]
    if rows:
        _ = base.sight  # raises where the model does not see
    looked = iter(look_at(engine, rows, config, seed=seed, progress=progress) if rows else [])
    return [[next(looked) for _ in context.images] for context in contexts]


def check_learnable(context: Context, seen: Sequence[Seen]) -> None:
    """Raises InputError where there is no text and nothing that the model says of the pictures can be kept."""
    if context.text.strip() or any(one.text for one in seen):
        return
    refused = [note for one in seen for note in one.notes]
    first = f" (of {len(refused)} lines, the first: {refused[0].reason})" if refused else ""
    raise InputError(
        f"the model does not agree with itself on anything in the picture{first}; give a text beside it, or load a "
        "model that sees better"
    )


def picture_passages(base: BaseModel, seen: Sequence[Seen], limit: int) -> list[tuple[int, list[str]]]:
    """The passages of each picture of which anything is kept, with its number, counted from 1."""
    return [(number, passages_of(base, one.text, limit)) for number, one in enumerate(seen, 1) if one.text]


def picture_edits(
    seen: Sequence[Seen], parts: Mapping[int, int], config: SelfEditConfig, pictures: PictureConfig, seed: int
) -> tuple[SelfEdit, ...]:
    """The notes about each picture; with the format picture-in-view, its questions a second time.

    Args:
        parts: The first passage of each picture, by the picture's number.
    """
    edits: list[SelfEdit] = []
    for number, part in parts.items():
        one = seen[number - 1]
        sampling = pictures.sampling(pictures.max_tokens, seed)
        edits.append(SelfEdit(PICTURE, load_prompt("describe-picture"), one.raw, sampling, seed, part, one.notes))
        if IN_VIEW in config.formats:
            edits.append(SelfEdit(IN_VIEW, part=part, checked=tuple(pair for pair in one.pairs if pair.kept)))
    return tuple(edits)
