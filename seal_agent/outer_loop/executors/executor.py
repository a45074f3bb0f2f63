"""The executor protocol, and the executor of this process; ray.py evaluates units on a Ray cluster."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from seal_agent.outer_loop.units import Worker


class WorkUnit(Protocol):
    """A piece of work that any worker may do, with everything that decides its result."""

    @property
    def base(self) -> str:
        """Identity of the base model that it is about."""
        ...

    @property
    def key(self) -> str:
        """Content hash: two units with the same key have the same result."""
        ...


UnitType = TypeVar("UnitType", bound=WorkUnit)
ResultType = TypeVar("ResultType")


@dataclass(frozen=True, slots=True)
class FinishedUnit(Generic[UnitType, ResultType]):
    """A unit, its result, and the seconds its worker took, which are no part of a run's digest."""

    unit: UnitType
    result: ResultType
    seconds: float


class Executor(Protocol):
    """Evaluates each unit at least once, in any order. Only the caller writes the ledger."""

    def map(
        self, units: Sequence[UnitType], evaluate: Callable[[UnitType, Worker], ResultType]
    ) -> Iterator[FinishedUnit[UnitType, ResultType]]:
        """Yield results as they come in. Raises what an evaluation raises."""
        ...

    def close(self) -> None:
        """Release the workers."""
        ...


class InlineExecutor:
    """Evaluates one unit after another in this process; a unit's adapters train side by side in one bank."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def map(
        self, units: Sequence[UnitType], evaluate: Callable[[UnitType, Worker], ResultType]
    ) -> Iterator[FinishedUnit[UnitType, ResultType]]:
        """Yield results in the order of the units. Raises what an evaluation raises."""
        for unit in units:
            started = time.perf_counter()
            result = evaluate(unit, self._worker)
            yield FinishedUnit(unit, result, time.perf_counter() - started)

    def close(self) -> None:
        """Does nothing: the worker is the caller's."""
