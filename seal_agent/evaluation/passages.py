"""Which passages a suite asks about, in which order, and the hash that says two runs asked the same."""

from __future__ import annotations

import functools
import random
from collections.abc import Collection, Sequence
from importlib import resources

from seal_agent.types import Context, content_hash

ORDER_SEED = 0  # passages are shuffled once, so that the first N are of all articles
SEEN_FILE = "seen_passages.txt"
_ID_DIGITS = 16


def unit_id(context: Context) -> str:
    """The passage's name in results: a hash of its title and text."""
    return content_hash([context.title, context.text])[:_ID_DIGITS]


def question_key(context: Context) -> str:
    """The passage's name in a journal, which also tells its questions."""
    questions = [[question.text, list(question.golds)] for question in context.questions]
    return f"{unit_id(context)}:{content_hash(questions)[:8]}"


def is_seen(context: Context) -> bool:
    """Whether the search that chose the default recipe has seen the passage."""
    return is_seen_id(unit_id(context))


def is_seen_id(unit: str) -> bool:
    """The same of a passage's name in results."""
    return unit in _seen()


def chose_recipe(searched: bool | Collection[str], unit: str) -> bool:
    """Whether a passage, by its name in results, was among those on which a recipe was chosen.

    Args:
        searched: The recipe's own `searched`. One that names passages began from the default, so those of the default's
            search count too.
    """
    if isinstance(searched, bool):
        return searched and is_seen_id(unit)
    return bool(searched) and (is_seen_id(unit) or unit in searched)


@functools.cache
def _seen() -> frozenset[str]:
    lines = (resources.files(__package__) / SEEN_FILE).read_text(encoding="utf-8").splitlines()
    return frozenset(line.split()[0] for line in lines if line and not line.startswith("#"))


def choose_passages(contexts: Sequence[Context], limit: int | None = None) -> list[Context]:
    """The first `limit` passages (None: all) in a fixed shuffled order, those that the search has not seen first.

    Passages without questions are left out; of two with the same title and text only the first counts.
    """
    usable = list({unit_id(context): context for context in reversed(contexts) if context.questions}.values())[::-1]
    shuffled = random.Random(ORDER_SEED).sample(usable, len(usable))
    return sorted(shuffled, key=is_seen)[:limit]


def data_hash(contexts: Sequence[Context]) -> str:
    """Hash of every title, text, question and gold answer, whatever the order of the passages."""
    return content_hash(
        sorted([c.title, c.text, [[question.text, list(question.golds)] for question in c.questions]] for c in contexts)
    )
