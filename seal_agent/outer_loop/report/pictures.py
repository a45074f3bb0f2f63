"""Pictures for a report: contexts of one round with what the best self-edit's adapter said, drawn by their domain."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seal_agent.errors import MissingDependency
from seal_agent.outer_loop.domains.domain import Pictured
from seal_agent.outer_loop.report.blocks import Document, Paragraph, Picture, Section
from seal_agent.outer_loop.rounds import ContextResult
from seal_agent.outer_loop.selection import Scored
from seal_agent.outer_loop.units import Asked, Case, CaseResult
from seal_agent.types import Verdict

FOLDER = "pictures"
MOST = 6  # our choice: of the round's contexts


def pictures(
    domain: Pictured[Any],
    cases: Sequence[Case[Any]],
    contexts: Sequence[ContextResult],
    tried: Sequence[CaseResult],
) -> Section:
    """The first contexts of a round; instead, where the domain lacks a package to draw them, how to get it.

    `contexts` and `tried` are what came of the cases, in their order.
    """
    try:
        drawn = [_picture(domain, *one) for one in list(zip(cases, contexts, tried, strict=True))[:MOST]]
    except MissingDependency as err:
        return Section("Pictures", (Paragraph(f"There are none: {err}"),))
    said = f"The first {len(drawn)} of the last round, each with what the adapter of its best self-edit answered."
    named = (Picture(f"{FOLDER}/{number}.png", *one) for number, one in enumerate(drawn, 1))
    return Section("Pictures", (Paragraph(said), *named))


def write_pictures(folder: Path, document: Document) -> None:
    """Every picture of a document into the file that it names."""
    for picture in (block for section in document.sections for block in section.blocks if isinstance(block, Picture)):
        path = folder / picture.file
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(picture.png)


def _picture(
    domain: Pictured[Any], case: Case[Any], context: ContextResult, result: CaseResult
) -> tuple[str, str, bytes]:
    """What it shows, its caption, the PNG."""
    if (best := _best(context, result)) is None:
        alt = f"{case.title}: not solved"
        return alt, f"{alt} · no adapter was asked", domain.picture(case, None)
    edit, answers = best
    solved = all(answer.verdict is Verdict.CORRECT for answer in answers.selecting)
    alt = f"{case.title}: {'solved' if solved else 'not solved'}"
    fate = "kept" if edit in context.winners else "not kept"
    return alt, f"{alt} · {fate} · reward {edit.mean:+.3f}", domain.picture(case, answers)


def _best(context: ContextResult, result: CaseResult) -> tuple[Scored, Asked] | None:
    """The self-edit that was kept first, else the one of most reward, and what its best adapter said."""
    outcomes = [(one, outcome.reward) for one in context.scored for outcome in one.outcomes]
    asked = [
        ((one in context.winners[:1], one.mean or 0.0, reward.gain), one, trial.answers)
        for (one, reward), trial in zip(outcomes, result.tried, strict=True)
        if reward and trial.answers
    ]
    return max(asked, key=lambda found: found[0])[1:] if asked else None
