"""Which questions the gate asks: those of earlier revisions, and general ones that no lesson should change."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from seal_agent.adaptation.gate.superseded import related, superseded
from seal_agent.seeds import derived_seed
from seal_agent.types import Answer, Context, Question, Revision, Verdict

FAVOUR = 0.85  # weight of a revision's questions against those of the next one; not tuned


@dataclass(frozen=True, slots=True)
class EarlierQuestion:
    """A question of an earlier revision, the title it is asked under, and whether it was right when last asked.

    `learned` is whether it was right when its text had just been learned.
    """

    question: Question
    title: str
    right: bool
    learned: bool = False


def earlier_questions(lineage: Sequence[Revision], new: Context, budget: int) -> list[EarlierQuestion]:
    """The questions of earlier revisions: all of them, or a draw of `budget` that favours recent revisions.

    A question that the new text, or a later revision's, answers otherwise is left out: the last truth wins.

    Args:
        lineage: The parent and its ancestors, newest first.
        new: What is learnt now.
    """
    last = _last_verdicts(lineage)
    newer = [new, *(revision.context for revision in lineage)]
    candidates = [
        (EarlierQuestion(answer.question, revision.context.title, right, _is_right(answer) is True), FAVOUR**age)
        for age, revision in enumerate(lineage)
        for answer in revision.after
        if (right := last.get((revision.context.title, answer.question.text))) is not None
        if not superseded([answer.question], revision.context.title, newer[: age + 1])
    ]
    unique = {(asked.title, asked.question.text): (asked, weight) for asked, weight in reversed(candidates)}
    if len(unique) <= budget:
        return [asked for asked, _ in unique.values()]
    draw = random.Random(derived_seed(0, "earlier questions", lineage[0].id))
    keyed = sorted(unique.values(), key=lambda pair: -(draw.random() ** (1 / pair[1])))  # Efraimidis and Spirakis, 2006
    return [asked for asked, _ in keyed[:budget]]


def _last_verdicts(lineage: Sequence[Revision]) -> dict[tuple[str, str], bool]:
    """By title and question: whether the newest graded answer to it on record is right."""
    titles = {answer.question.text: r.context.title for r in reversed(lineage) for answer in r.after}
    last: dict[tuple[str, str], bool] = {}
    for revision in reversed(lineage):
        asked_under = revision.earlier_titles or [titles.get(answer.question.text, "") for answer in revision.earlier]
        own = [(revision.context.title, answer) for answer in revision.after]
        for title, answer in (*zip(asked_under, revision.earlier, strict=True), *own):
            if (right := _is_right(answer)) is not None:
                last[title, answer.question.text] = right
    return last


def _is_right(answer: Answer) -> bool | None:
    return None if answer.verdict is Verdict.UNGRADED else answer.verdict is Verdict.CORRECT


def guard_draw(guard: Sequence[Answer], new: Context, budget: int) -> tuple[list[Question], list[Question]]:
    """The guard questions that are asked about a new text, and those of them that the text itself is about.

    Only those that the base model answers are asked. The text's own come first; the rest is drawn by its words.
    """
    answered = [answer.question for answer in guard if answer.verdict is Verdict.CORRECT]
    own = related(answered, new) if budget else []
    others = [question for question in answered if question not in own]
    random.Random(derived_seed(0, "guard", new.text)).shuffle(others)
    return [*own, *others[: max(0, budget - len(own))]], own
