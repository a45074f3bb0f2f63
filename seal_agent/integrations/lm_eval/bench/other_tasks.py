"""Any lm-eval task, before and after a passage is learnt: what the suite `harm` asks on request."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from lm_eval.evaluator import simple_evaluate
from lm_eval.tasks import TaskManager

from seal_agent.base_model.model import BaseModel
from seal_agent.errors import InputError
from seal_agent.integrations.lm_eval.model import SealLM
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.lora.serving import serving_route


class OtherTasks:
    """Runs the same lm-eval tasks with one adapter after the other.

    Args:
        names: Of lm-eval's tasks. Raises InputError for one that there is not.
        include_path: A folder with tasks of one's own.
        limit: Documents of each task; None for all.
    """

    def __init__(
        self, base: BaseModel, names: Sequence[str], include_path: str | None = None, limit: int | None = None
    ) -> None:
        self.names, self.limit = list(names), limit
        self._manager = TaskManager(include_path=include_path)
        unknown = [name for name in names if name not in self._manager.all_tasks]
        if unknown:
            raise InputError(f"lm-eval has no task {unknown[0]!r}; `seal eval ls tasks` lists them")
        self._lm = SealLM(base, mode="base")

    def scores(self, adapter: LoraAdapter | None) -> dict[str, float]:
        """Every metric of every task, named as `figures_of` does."""
        lm = self._lm
        lm.adapter, lm._route = adapter, serving_route(lm.base.module, [adapter], lm.base.device, lm.base.dtype)
        log = logging.getLogger("lm_eval")
        level = log.level
        log.setLevel(logging.ERROR)
        try:
            found = simple_evaluate(
                model=lm, tasks=self.names, task_manager=self._manager, limit=self.limit, log_samples=False
            )
        finally:
            log.setLevel(level)
        assert found, "lm-eval returns nothing only to the other ranks of a distributed run"
        return figures_of(found["results"])


def figures_of(results: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """lm-eval's results by "task.metric", or "task.metric.filter" where a task has filters, without standard errors."""
    return {
        f"{task}.{name.removesuffix(',none').replace(',', '.')}": float(value)
        for task, metrics in results.items()
        for name, value in metrics.items()
        if "," in name and "_stderr" not in name and isinstance(value, int | float)
    }


def before_and_after(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """Both under names that tell them apart."""
    return {f"{name}_before": before[name] for name in after} | {f"{name}_after": after[name] for name in after}
