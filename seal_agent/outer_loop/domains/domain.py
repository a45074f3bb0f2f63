"""The domain protocol: all that the outer loop asks of a domain, so that it need not tell passages from puzzles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from seal_agent.lora.adapter import LoraAdapter
from seal_agent.outer_loop.units import Case, CaseAnswers, Item, Unit, UnitResult, Worker
from seal_agent.progress import Progress
from seal_agent.types import Context, Question, SelfEdit


class Domain(Protocol[Item]):
    """Contexts, self-edits about them, and the evaluation of adapters trained on those."""

    @property
    def formats(self) -> tuple[str, ...]:
        """Formats of the self-edits that the policy learns to write."""
        ...

    def settings(self) -> dict[str, Any]:
        """What decides a run's results besides its config, as JSON. A run refuses to go on with other settings."""
        ...

    def items(self, count: int, skip: int, seed: int) -> Sequence[Any]:
        """`count` contexts in the seed's order after the first `skip`; beyond the last, from the first again."""
        ...

    def guard(self, count: int, seed: int) -> tuple[Context, ...]:
        """Questions on topics that no context of the run has; none for a count of 0."""
        ...

    def cases(self, worker: Worker, items: Sequence[Any], seed: int) -> tuple[Case[Item], ...]:
        """A case for each context, with its questions split into selecting and reporting ones; no trials yet."""
        ...

    def text_of(self, case: Case[Item]) -> str:
        """The text that a case is about, which a store may be told to forget; "" for contexts that are no text."""
        ...

    def own_questions(self, worker: Worker, cases: Sequence[Case[Item]], seed: int) -> tuple[tuple[Question, ...], ...]:
        """Questions about each case that the model writes itself."""
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
        """Why a self-edit may not be kept whatever its reward, such as a leaked question; "" where it may."""
        ...

    @staticmethod
    def evaluate(unit: Unit[Item], worker: Worker) -> UnitResult:
        """Train a unit's adapters side by side, and ask each of them and the base model everything."""
        ...


@runtime_checkable
class DrawableDomain(Protocol[Item]):
    """A domain that can also draw its contexts; a run's report then shows some. Optional for a domain."""

    def picture(self, case: Case[Item], answers: CaseAnswers | None) -> bytes:
        """A PNG of a context, with the answers about it where there are any. Raises MissingDependency."""
        ...
