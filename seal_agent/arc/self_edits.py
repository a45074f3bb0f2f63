"""Self-edits about ARC tasks: JSON that the model writes with decoding constrained to the schema, so always valid."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Literal

from seal_agent.arc.choices import SCHEMA, random_choice
from seal_agent.arc.grids import ArcTask
from seal_agent.arc.solve import Trial, trial_of
from seal_agent.arc.text import format_examples
from seal_agent.base_model.model import BaseModel
from seal_agent.config import ArcConfig
from seal_agent.generation.engine import Engine
from seal_agent.generation.sampling import seed_of_row
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.progress import Progress
from seal_agent.prompts import fill, load_prompt
from seal_agent.types import Grammar, Message, Sampling, SelfEdit, content_hash

Mode = Literal["base", "ttt", "random", "self_edit"]
FORMAT = "arc-self-edit"
MAX_TOKENS = 256  # the longest self-edit has about 100 tokens, or 210 characters
_CHAT_TOKENS = 64  # room for what a chat template adds; not tuned
_GRAMMAR = Grammar("json_schema", json.dumps(SCHEMA))


def write_self_edits(
    engine: Engine,
    base: BaseModel,
    tasks: Sequence[ArcTask],
    count: int,
    config: ArcConfig,
    *,
    writer: LoraAdapter | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> tuple[tuple[SelfEdit, ...], ...]:
    """Write `count` self-edits for each task, all in one batch.

    Args:
        tasks: Tasks to write about.
        count: Self-edits per task.
        config: Grid style, temperature and top-p.
        writer: The policy; None for the base model.
        seed: Seed of the first self-edit; the others are derived from it.
        progress: Called with the self-edits written.
    """
    prompts = [prompt for task in tasks for prompt in [self_edit_prompt(base, task, config)] * count]
    sampling = Sampling(MAX_TOKENS, config.temperature, config.top_p, seed=seed, grammar=_GRAMMAR)
    chats = [(Message("user", prompt),) for prompt in prompts]
    completions = engine.generate(chats, sampling, [writer] * len(chats), progress)
    edits = [
        SelfEdit(FORMAT, prompt, completion.text, sampling, seed_of_row(seed, index))
        for index, (prompt, completion) in enumerate(zip(prompts, completions, strict=True))
    ]
    return tuple(tuple(edits[index * count : (index + 1) * count]) for index in range(len(tasks)))


def trials_for(
    engine: Engine,
    base: BaseModel,
    tasks: Sequence[ArcTask],
    mode: Mode,
    config: ArcConfig,
    *,
    writer: LoraAdapter | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[Trial]:
    """One trial per task: "base" trains nothing, "ttt" trains by the fixed choice, "self_edit" as the writer chooses,
    "random" by a choice drawn for the task and the seed: what a writer must beat to have chosen at all.

    `writer` is the policy, or None for the base model; `progress` is called with the self-edits written. Only
    "self_edit" uses them.
    """
    if mode == "base":
        return [Trial(task, None, seed) for task in tasks]
    if mode == "ttt":
        return [trial_of(task, None, seed) for task in tasks]
    if mode == "random":
        return [Trial(task, random_choice(_drawn_seed(task, seed)), seed) for task in tasks]
    edits = write_self_edits(engine, base, tasks, 1, config, writer=writer, seed=seed, progress=progress)
    return [trial_of(task, edit, seed) for task, (edit,) in zip(tasks, edits, strict=True)]


def _drawn_seed(task: ArcTask, seed: int) -> int:
    """The seed of a task's random choice: the same alone and among others."""
    return int(content_hash([task.id, seed])[:8], 16)


def self_edit_prompt(base: BaseModel, task: ArcTask, config: ArcConfig) -> str:
    """The prompt for a self-edit: as many of the task's examples as fit the window, and the values to choose from."""
    template = load_prompt(FORMAT)
    room = base.window - MAX_TOKENS - len(base.tokens(template)) - _CHAT_TOKENS
    shown = list(task.train)
    while len(shown) > 1 and len(base.tokens(format_examples(shown, config.style).text)) > room:
        shown.pop()
    text = format_examples(shown, config.style).text.strip()
    if len(base.tokens(text)) > room:
        text = f"({len(task.train)} examples, too large to be shown)"
    return fill(template, examples=text)
