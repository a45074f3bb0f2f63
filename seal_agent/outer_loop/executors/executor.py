"""Where units are evaluated: here, or (executor_ray.py) by workers of a Ray cluster."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from seal_agent.outer_loop.units import Evaluate, Evaluated, Unit, Worker


@dataclass(frozen=True, slots=True)
class Finished:
    """A unit's result, and how long its worker took. Seconds are no part of what two runs have in common."""

    unit: Unit[Any]
    result: Evaluated
    seconds: float


class Executor(Protocol):
    """Evaluates units, in any order, each at least once. Only the caller writes the ledger."""

    def map(self, units: Sequence[Unit[Any]], evaluate: Evaluate[Any]) -> Iterator[Finished]:
        """Results as they come in. Raises what an evaluation raises."""
        ...

    def close(self) -> None:
        """Let the workers go."""
        ...


class InlineExecutor:
    """One unit after the other in this process, each with all its adapters side by side in the bank."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def map(self, units: Sequence[Unit[Any]], evaluate: Evaluate[Any]) -> Iterator[Finished]:
        for unit in units:
            started = time.perf_counter()
            result = evaluate(unit, self._worker)
            yield Finished(unit, result, time.perf_counter() - started)

    def close(self) -> None:
        """Nothing to let go."""
