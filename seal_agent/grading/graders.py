"""The default grader."""

from __future__ import annotations

from seal_agent.grading.grader import Grader
from seal_agent.grading.lexical import LexicalGrader


def default_grader() -> Grader:
    """The grader that is used if none is given. It needs no key and no model."""
    return LexicalGrader()
