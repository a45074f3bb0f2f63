"""What two revisions answer differently."""

from __future__ import annotations

import pytest

from seal_agent.adaptation.compare import Change
from seal_agent.types import Answer, Question, Verdict

RIGHT, WRONG, UNGRADED = Verdict.CORRECT, Verdict.WRONG, Verdict.UNGRADED


@pytest.mark.parametrize(
    ("left", "right", "kind"),
    [
        (RIGHT, WRONG, "lost"),
        (WRONG, RIGHT, "gained"),
        (WRONG, WRONG, "other words"),
        (RIGHT, UNGRADED, "other words"),
        (UNGRADED, RIGHT, "other words"),
    ],
)
def test_what_could_not_be_graded_is_neither_lost_nor_gained(left: Verdict, right: Verdict, kind: str) -> None:
    question = Question("Who keeps the lighthouse?", ("Odile",))
    assert Change("", Answer(question, "Odile", left), Answer(question, "Corin", right)).kind == kind
