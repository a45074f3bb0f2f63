"""The graders there are, and the default."""

from __future__ import annotations

from seal_agent.grading.grader import Grader
from seal_agent.grading.lexical import LexicalGrader


def default_grader() -> Grader:
    """The grader used where none is given: no key, no model."""
    return LexicalGrader()
