"""The model writes self-edits about tasks: JSON, held to the schema while it is written, so that it is always valid."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Literal

from seal_agent.arc.choices import SCHEMA
from seal_agent.arc.grids import ArcTask
from seal_agent.arc.solve import Trial, trial_of
from seal_agent.arc.text import lay_out_examples
from seal_agent.base_model.model import BaseModel
from seal_agent.config import ArcConfig
from seal_agent.generation.engine import Engine
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.progress import Progress
from seal_agent.prompts import fill, load_prompt
from seal_agent.types import Grammar, Message, Sampling, SelfEdit

Mode = Literal["base", "ttt", "self_edit"]
FORMAT = "arc-self-edit"
MAX_TOKENS = 256  # our choice: the longest self-edit has about 100 tokens, or 210 characters
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
    """`count` self-edits for each task, written by the policy or (None) by the base model, in one batch."""
    asked = [prompt for task in tasks for prompt in [self_edit_prompt(base, task, config)] * count]
    sampling = Sampling(MAX_TOKENS, config.temperature, config.top_p, seed=seed, grammar=_GRAMMAR)
    rows = [(Message("user", prompt),) for prompt in asked]
    written = engine.generate(rows, sampling, [writer] * len(rows), progress)
    edits = [
        SelfEdit(FORMAT, prompt, said.text, sampling, seed + at)
        for at, (prompt, said) in enumerate(zip(asked, written, strict=True))
    ]
    return tuple(tuple(edits[at * count : (at + 1) * count]) for at in range(len(tasks)))


def trials_for(
    engine: Engine,
    base: BaseModel,
    tasks: Sequence[ArcTask],
    mode: Mode,
    config: ArcConfig,
    *,
    writer: LoraAdapter | None = None,
    seed: int = 0,
) -> list[Trial]:
    """One trial for each task: nothing is trained, or by the fixed choice, or as the writer chooses."""
    if mode == "base":
        return [Trial(task, None, seed) for task in tasks]
    if mode == "ttt":
        return [trial_of(task, None, seed) for task in tasks]
    written = write_self_edits(engine, base, tasks, 1, config, writer=writer, seed=seed)
    return [trial_of(task, edit, seed) for task, (edit,) in zip(tasks, written, strict=True)]


def self_edit_prompt(base: BaseModel, task: ArcTask, config: ArcConfig) -> str:
    """What the writer is asked: the task's examples, as many as fit beside the rest, and the values to choose."""
    template = load_prompt(FORMAT)
    room = base.window - MAX_TOKENS - len(base.tokens(template)) - _MARGIN
    shown = list(task.train)
    while len(shown) > 1 and len(base.tokens(lay_out_examples(shown, config.style).text)) > room:
        shown.pop()
    text = lay_out_examples(shown, config.style).text.strip()
    if len(base.tokens(text)) > room:
        text = f"({len(task.train)} examples, too large to be shown)"
    return fill(template, examples=text)


_MARGIN = 64  # for what a chat template adds
