"""What the gate decides about one candidate."""

from __future__ import annotations

from dataclasses import dataclass

from seal_agent.types import Answer, Check, RevisionState


@dataclass(frozen=True, slots=True)
class Judgement:
    """The state of a revision, why in a sentence, and what was checked.

    `share` of the update is kept. `earlier` and `guard` are the questions that were asked, with the answers;
    `earlier_titles` are the titles under which the former were asked.
    """

    state: RevisionState
    reason: str
    checks: tuple[Check, ...] = ()
    share: float = 1.0
    earlier: tuple[Answer, ...] = ()
    earlier_titles: tuple[str, ...] = ()
    guard: tuple[Answer, ...] = ()
