"""Pictures for a report: contexts of one round with the answers of the best self-edit's adapter."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seal_agent.errors import MissingDependency
from seal_agent.outer_loop.domains.domain import DrawableDomain
from seal_agent.outer_loop.report.blocks import Document, Paragraph, Picture, Section
from seal_agent.outer_loop.rounds import ContextResult
from seal_agent.outer_loop.selection import ScoredEdit
from seal_agent.outer_loop.units import Case, CaseAnswers, CaseResult
from seal_agent.types import Verdict

FOLDER = "pictures"
MAX_PICTURES = 6  # per report; not tuned


def pictures(
    domain: DrawableDomain[Any],
    cases: Sequence[Case[Any]],
    contexts: Sequence[ContextResult],
    results: Sequence[CaseResult],
) -> Section:
    """A section with the first contexts of a round, or with the install line of the package that drawing needs.

    Args:
        domain: draws a case with its answers.
        cases: the round's cases.
        contexts: the outcome of each case, in the same order.
        results: the answers of each case's adapters, in the same order.
    """
    rows = list(zip(cases, contexts, results, strict=True))[:MAX_PICTURES]
    try:
        drawn = [_picture(domain, *row) for row in rows]
    except MissingDependency as err:
        return Section("Pictures", (Paragraph(f"There are none: {err}"),))
    summary = f"The first {len(drawn)} of the last round, each with what the adapter of its best self-edit answered."
    blocks = (Picture(f"{FOLDER}/{number}.png", *picture) for number, picture in enumerate(drawn, 1))
    return Section("Pictures", (Paragraph(summary), *blocks))


def write_pictures(folder: Path, document: Document) -> None:
    """Write each picture of a document to its file."""
    for picture in (block for section in document.sections for block in section.blocks if isinstance(block, Picture)):
        path = folder / picture.file
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(picture.png)


def _picture(
    domain: DrawableDomain[Any], case: Case[Any], context: ContextResult, result: CaseResult
) -> tuple[str, str, bytes]:
    """Alt text, caption, PNG."""
    if (best := _best(context, result)) is None:
        alt = f"{case.title}: not solved"
        return alt, f"{alt} · no adapter was asked", domain.picture(case, None)
    edit, answers = best
    solved = all(answer.verdict is Verdict.CORRECT for answer in answers.selecting)
    alt = f"{case.title}: {'solved' if solved else 'not solved'}"
    decision = "kept" if edit in context.winners else "not kept"
    return alt, f"{alt} · {decision} · reward {edit.mean:+.3f}", domain.picture(case, answers)


def _best(context: ContextResult, result: CaseResult) -> tuple[ScoredEdit, CaseAnswers] | None:
    """The first kept self-edit, else the one with the highest reward, and the answers of its best adapter."""
    rewards = [(scored, outcome.reward) for scored in context.scored for outcome in scored.outcomes]
    candidates = [
        ((scored in context.winners[:1], scored.mean or 0.0, reward.gain), scored, trial.answers)
        for (scored, reward), trial in zip(rewards, result.tried, strict=True)
        if reward and trial.answers
    ]
    return max(candidates, key=lambda candidate: candidate[0])[1:] if candidates else None
