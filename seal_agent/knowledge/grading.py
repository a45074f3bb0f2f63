"""Is this answer right? Graders behind one small protocol."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Protocol

from seal_agent.types import Verdict

_ARTICLES = {"a", "an", "the"}
_WORD = re.compile(r"\d+(?:[.,]\d+)*|\w+")
TOKEN_RECALL = 0.75  # agrees with GPT-4.1 on 84 % of 3,224 published answers, containment alone on 82 %


class Grader(Protocol):
    """Compares an answer with every answer that counts as right."""

    def grade(self, question: str, golds: Sequence[str], answer: str) -> Verdict:
        """UNGRADED where the grader cannot tell; it is never a synonym of WRONG."""
        ...


class ContainmentGrader:
    """Right if the answer contains a gold answer, or at least three quarters of its words."""

    def grade(self, question: str, golds: Sequence[str], answer: str) -> Verdict:
        wanted = [words for gold in golds if (words := normalise(gold))]
        if not wanted:
            return Verdict.UNGRADED
        said = normalise(answer)
        return Verdict.CORRECT if any(_matches(words, said) for words in wanted) else Verdict.WRONG


def default_grader() -> Grader:
    """The grader used where none is given: no key, no model."""
    return ContainmentGrader()


def normalise(text: str) -> list[str]:
    """Words in lower case without accents, punctuation and articles; 1,862 and 1862 are one word."""
    folded = unicodedata.normalize("NFKD", text).casefold()
    plain = "".join(c for c in folded if not unicodedata.combining(c))
    return [word.replace(",", "") for word in _WORD.findall(plain) if word not in _ARTICLES]


def _matches(wanted: list[str], said: list[str]) -> bool:
    if any(said[i : i + len(wanted)] == wanted for i in range(len(said) - len(wanted) + 1)):
        return True
    return sum(word in said for word in wanted) >= TOKEN_RECALL * len(wanted)
