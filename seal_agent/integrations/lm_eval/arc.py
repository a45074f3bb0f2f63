"""Answers lm-eval's ARC tasks: trains on each task at test time if the mode says so, and returns the attempts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from tqdm import tqdm

from seal_agent.arc.data import task_from_json
from seal_agent.arc.self_edits import Mode, trials_for
from seal_agent.arc.solve import ArcResult, solve
from seal_agent.arc.text import format_attempts
from seal_agent.base_model.model import BaseModel
from seal_agent.generation.engine import Engine
from seal_agent.integrations.lm_eval.arguments import Settings
from seal_agent.integrations.lm_eval.progress_bar import stages_on
from seal_agent.integrations.lm_eval.tasks import UNANSWERED
from seal_agent.lora.adapter import LoraAdapter

TASKS_AT_ONCE = 4  # adapters trained together; more do not use a processor better


def answer_tasks(
    engine: Engine,
    base: BaseModel,
    docs: Sequence[Mapping[str, Any]],
    settings: Settings,
    quiet: bool = False,
    writer: LoraAdapter | None = None,
    beside: Sequence[Mapping[str, Any]] = (),
) -> list[str]:
    """The attempts at each document's test input, separated by blank lines, or why there are none.

    Each task is trained on once, however many test inputs it has.

    Args:
        writer: The policy that chooses how a task is trained on.
        beside: Documents of all tasks that self-edits are written about, where only some are answered: what is drawn
            for a task depends on those before it.
    """
    asked = {doc["task"] for doc in docs}
    tasks = {doc["task"]: task_from_json(doc["task_id"], doc["task"]) for doc in beside or docs}
    mode = cast(Mode, settings.mode)  # modes of other domains were refused before
    inner_loop = settings.arc_inner_loop
    results: dict[str, ArcResult] = {}
    with tqdm(total=len(tasks), disable=quiet, unit="task") as bar:
        keys = list(tasks)
        for start in range(0, len(keys), TASKS_AT_ONCE):
            chunk = keys[start : start + TASKS_AT_ONCE]
            begin_stage = stages_on(bar, f"tasks {start + 1}–{start + len(chunk)} of {len(keys)}")
            chunk_tasks = [tasks[key] for key in chunk]
            progress = begin_stage("writing self-edits") if mode == "self_edit" else None
            trials = trials_for(
                engine,
                base,
                chunk_tasks,
                mode,
                settings.arc,
                writer=writer,
                seed=inner_loop.seed,
                progress=progress,
            )
            wanted = {key: trial for key, trial in zip(chunk, trials, strict=True) if key in asked}
            solved = solve(engine, base, list(wanted.values()), settings.arc, inner_loop, begin_stage)
            results |= zip(wanted, solved, strict=True)
            bar.update(len(chunk))
    return [_answer(results[doc["task"]], int(doc["test"]), settings) for doc in docs]


def _answer(result: ArcResult, test: int, settings: Settings) -> str:
    """The attempts at one test input as text, or why there are none."""
    if result.failure:
        return f"{UNANSWERED}{result.failure}]"
    attempts = result.attempts(settings.arc.attempts)[test]
    return format_attempts(attempts, settings.arc.style)
