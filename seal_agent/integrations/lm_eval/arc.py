"""lm-eval's tasks of ARC: train at test time, or not, and answer with the attempts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from tqdm import tqdm

from seal_agent.arc.data import task_from_json
from seal_agent.arc.self_edits import Mode, trials_for
from seal_agent.arc.solve import Attempted, solve
from seal_agent.arc.text import attempts_text
from seal_agent.base_model.model import BaseModel
from seal_agent.generation.engine import Engine
from seal_agent.integrations.lm_eval.arguments import Settings
from seal_agent.integrations.lm_eval.tasks import UNANSWERED

TASKS_AT_ONCE = 4  # our choice: adapters held together; more fill a processor no better


def answer_tasks(
    engine: Engine, base: BaseModel, docs: Sequence[Mapping[str, Any]], settings: Settings, quiet: bool = False
) -> list[str]:
    """For each document the attempts at its test output, separated by blank lines, or why there are none.

    A task is trained on once, whatever the number of its test inputs.
    """
    tasks = {doc["task"]: task_from_json(doc["task_id"], doc["task"]) for doc in docs}
    results: dict[str, Attempted] = {}
    with tqdm(total=len(tasks), disable=quiet, unit="task") as bar:
        keys = list(tasks)
        for start in range(0, len(keys), TASKS_AT_ONCE):
            chunk = keys[start : start + TASKS_AT_ONCE]
            label = f"tasks {start + 1}–{start + len(chunk)} of {len(keys)}"

            def stage(name: str, label: str = label) -> Any:
                bar.set_description(f"{label}: {name}")
                return lambda done, total: bar.set_postfix_str(f"{done}/{total}")

            inner_loop, mode = settings.arc_inner_loop, cast(Mode, settings.mode)  # the others are refused before
            chosen = [tasks[key] for key in chunk]
            trials = trials_for(engine, base, chosen, mode, settings.arc, seed=inner_loop.seed)
            results |= zip(chunk, solve(engine, base, trials, settings.arc, inner_loop, stage), strict=True)
            bar.update(len(chunk))
    return [_said(results[doc["task"]], int(doc["test"]), settings) for doc in docs]


def _said(result: Attempted, test: int, settings: Settings) -> str:
    if result.failure:
        return f"{UNANSWERED}{result.failure}]"
    attempts = result.attempts(settings.arc.attempts)[test]
    return attempts_text(attempts, settings.arc.style)
