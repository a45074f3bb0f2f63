"""The pictures of a context: looked at once, and learnt as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from seal_agent.base_model.model import BaseModel
from seal_agent.config import PictureConfig, SelfEditConfig
from seal_agent.errors import InputError
from seal_agent.generation.engine import Engine
from seal_agent.progress import StageClock
from seal_agent.prompts import load_prompt
from seal_agent.self_edits.formats.registry import IN_VIEW, PICTURE
from seal_agent.self_edits.pictures import Seen, look_at
from seal_agent.self_edits.writing import passages_of
from seal_agent.types import Context, PassageSource, SelfEdit


def look(
    engine: Engine, base: BaseModel, context: Context, config: PictureConfig, clock: StageClock, seed: int
) -> list[Seen]:
    """What the model sees in each picture of a context.

    Raises InputError for a model that does not see, and where nothing that it says of any picture can be kept.
    """
    if not context.images:
        return []
    _ = base.sight  # raises where the model does not see
    with clock.stage("look at pictures") as report:
        seen = look_at(engine, [(context.title, image) for image in context.images], config, seed=seed, progress=report)
    if not any(one.text for one in seen) and not context.text.strip():
        refused = [note for one in seen for note in one.notes]
        first = f" (of {len(refused)} lines, the first: {refused[0].reason})" if refused else ""
        raise InputError(
            f"the model does not agree with itself on anything in the picture{first}; give a text beside it, or load a "
            "model that sees better"
        )
    return seen


def picture_sources(
    base: BaseModel, title: str, seen: Sequence[Seen], limit: int
) -> list[tuple[PassageSource, list[str]]]:
    """The passages of each picture of which anything is kept."""
    return [
        (PassageSource(title, f"picture {number}", number), passages_of(base, one.text, limit))
        for number, one in enumerate(seen, 1)
        if one.text
    ]


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
        prompt = load_prompt("describe-picture")
        edits.append(SelfEdit(PICTURE, prompt, one.raw, sampling, seed, part, one.notes))
        if IN_VIEW in config.formats:
            edits.append(SelfEdit(IN_VIEW, part=part, checked=tuple(pair for pair in one.pairs if pair.kept)))
    return tuple(edits)
