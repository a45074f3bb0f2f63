"""What the outer loop has to be told about a domain. Nothing else in the loop knows passages from puzzles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from seal_agent.lora.adapter import LoraAdapter
from seal_agent.outer_loop.units import Asked, Case, Evaluated, Item, Unit, Worker
from seal_agent.progress import Progress
from seal_agent.types import Context, Question, SelfEdit


class Domain(Protocol[Item]):
    """Contexts, self-edits about them, and what an adapter trained on those is worth."""

    @property
    def formats(self) -> tuple[str, ...]:
        """Formats of the self-edits that the policy learns to write."""
        ...

    def settings(self) -> dict[str, Any]:
        """What decides the results of a run, beside its config, as JSON: it may not change between two starts."""
        ...

    def items(self, count: int, skip: int, seed: int) -> Sequence[Any]:
        """`count` contexts in the seed's order, beginning behind the first `skip`; from the start again at the end."""
        ...

    def guard(self, count: int, seed: int) -> tuple[Context, ...]:
        """Questions about other things than any context of the run; none for a count of 0."""
        ...

    def cases(self, worker: Worker, items: Sequence[Any], seed: int) -> tuple[Case[Item], ...]:
        """The questions of each context, split in two; no trials yet."""
        ...

    def own_questions(self, worker: Worker, cases: Sequence[Case[Item]], seed: int) -> tuple[tuple[Question, ...], ...]:
        """Questions about each context that the model writes itself."""
        ...

    def propose(
        self,
        worker: Worker,
        cases: Sequence[Case[Item]],
        count: int,
        *,
        writer: LoraAdapter | None,
        seed: int,
        progress: Progress | None,
    ) -> tuple[tuple[SelfEdit, ...], ...]:
        """`count` self-edits for each case, written by the policy or (None) by the base model."""
        ...

    def rejected(self, case: Case[Item], edit: SelfEdit) -> str:
        """Why a self-edit may not be kept whatever its reward, such as a question given away; "" where it may."""
        ...

    @staticmethod
    def evaluate(unit: Unit[Item], worker: Worker) -> Evaluated:
        """Train a unit's adapters side by side and ask each of them, and the base model, everything."""
        ...


@runtime_checkable
class Pictured(Protocol[Item]):
    """A domain whose contexts can be looked at; a run's report then shows some. A domain need not be one."""

    def picture(self, case: Case[Item], answers: Asked | None) -> bytes:
        """A PNG of a context and of what was said about it; None: nothing was. Raises MissingDependency."""
        ...
