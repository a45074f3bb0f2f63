"""What changed between two revisions: the questions that they answer differently."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args, overload

from seal_agent.answering.questions import answer_questions
from seal_agent.base_model.model import BaseModel
from seal_agent.generation.engine import Engine
from seal_agent.grading.grader import Grader
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.types import Answer, Context, Question, Revision, Verdict

ChangeKind = Literal["lost", "gained", "other words"]
"""In the order in which a person wants to see them."""


@dataclass(frozen=True, slots=True)
class Change:
    """A question under its title, and what each of two revisions answers."""

    title: str
    left: Answer
    right: Answer

    @property
    def kind(self) -> ChangeKind:
        """Whether the right answer was gained or lost on the way from left to right, or other words were found.

        Where an answer could not be graded, there is no telling.
        """
        if Verdict.UNGRADED in (self.left.verdict, self.right.verdict):
            return "other words"
        was, now = (answer.verdict is Verdict.CORRECT for answer in (self.left, self.right))
        return "other words" if was == now else "gained" if now else "lost"


@dataclass(frozen=True, slots=True)
class Comparison(Sequence[Change]):
    """The answers that changed: lost ones first, then gained ones; and how many questions were asked."""

    changes: tuple[Change, ...]
    asked: int

    def __len__(self) -> int:
        return len(self.changes)

    @overload
    def __getitem__(self, index: int) -> Change: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Change]: ...

    def __getitem__(self, index: int | slice) -> Change | Sequence[Change]:
        return self.changes[index]


def questions_of(revisions: Sequence[Revision], general: Sequence[Question] = ()) -> list[Context]:
    """Every question that was asked about these revisions, under its title, and the general ones; each once."""
    by_title: dict[str, dict[str, Context]] = {}
    for revision in revisions:
        title = revision.context.title
        for answer in revision.after:
            by_title.setdefault(title, {})[answer.question.text] = Context("", title, (answer.question,))
        for answer in revision.guard:
            by_title.setdefault("", {})[answer.question.text] = Context("", "", (answer.question,))
    for question in general:
        by_title.setdefault("", {}).setdefault(question.text, Context("", "", (question,)))
    return [context for contexts in by_title.values() for context in contexts.values()]


def changed_answers(
    engine: Engine,
    base: BaseModel,
    grader: Grader,
    contexts: Sequence[Context],
    left: LoraAdapter | None,
    right: LoraAdapter | None,
) -> Comparison:
    """The questions that two adapters (None: the base model) answer in other words."""
    if not contexts:
        return Comparison((), 0)
    adapters = [left] * len(contexts) + [right] * len(contexts)
    answers = [a for (a,) in answer_questions(engine, base, [*contexts, *contexts], grader, adapters=adapters)]
    pairs = zip(contexts, answers[: len(contexts)], answers[len(contexts) :], strict=True)
    changes = [Change(context.title, old, new) for context, old, new in pairs if old.text != new.text]
    changes.sort(key=lambda change: get_args(ChangeKind).index(change.kind))
    return Comparison(tuple(changes), len(contexts))
