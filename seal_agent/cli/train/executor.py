"""Where the units of a run are worked on: options, and the executor that they name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from seal_agent.errors import InputError

if TYPE_CHECKING:
    from seal_agent.outer_loop.executors.executor import Executor
    from seal_agent.outer_loop.units import Worker


@dataclass(frozen=True, slots=True)
class ExecutorOptions:
    """Where self-edits are evaluated, or attempts made."""

    executor: Annotated[str, typer.Option(help="inline (this process), or ray.")] = "inline"
    address: Annotated[str | None, typer.Option(help="Of a Ray cluster. \\[default: this machine alone]")] = None
    workers: Annotated[int | None, typer.Option(help="Ray workers. \\[default: as many as there is room for]")] = None

    def check(self) -> None:
        """Raises InputError for options that name no executor."""
        if self.executor not in ("inline", "ray"):
            raise InputError(f"there is no executor {self.executor!r}; use inline or ray")
        if self.executor == "inline" and (self.address or self.workers):
            raise InputError("--address and --workers are Ray's; add --executor ray")

    @property
    def is_on_this_machine(self) -> bool:
        """Whether all work is done on this machine, in whatever process."""
        return self.executor == "inline" or self.address is None

    def make(self, make_worker: Callable[[], Worker], worker: Worker) -> Executor:
        """The executor. Raises MissingDependency, InputError.

        Args:
            make_worker: Called in each process of Ray's; must be picklable.
            worker: That of this process.
        """
        if self.executor == "ray":
            from seal_agent.outer_loop.executors.ray import RayExecutor

            return RayExecutor(make_worker, address=self.address, workers=self.workers)
        from seal_agent.outer_loop.executors.executor import InlineExecutor

        return InlineExecutor(worker)
