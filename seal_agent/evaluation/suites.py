"""The benchmark suites: what each one asks, and which of its means ranks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from seal_agent.config import RecipeMode
from seal_agent.data.bundled import novel
from seal_agent.data.contexts import read_contexts
from seal_agent.errors import InputError
from seal_agent.evaluation.passages import choose_passages
from seal_agent.types import Context

Kind = Literal["passages", "together", "continual", "arc", "speed", "harm"]
"""How a suite is run: each passage into its own adapter, all into one at once, one after the other, and so on."""

MODES: Mapping[Kind, tuple[RecipeMode, ...]] = {
    **dict.fromkeys(("passages", "together", "continual"), ("base", "in_context", "retrieval", "self_edit")),
    "arc": ("base", "ttt", "random", "self_edit"),
    **dict.fromkeys(("speed", "harm"), ("self_edit",)),
}
"""By kind of suite, the modes of recipes that it can run."""
BUNDLED = "seal_novel"
"""What rows call the passages of the package."""


def counted(count: int, plural: str) -> str:
    """A number with its noun: "1 passage", "20 passages"."""
    return f"{count} {plural if count != 1 else plural.removesuffix('s')}"


@dataclass(frozen=True, slots=True)
class Suite:
    """A benchmark.

    Args:
        kind: How it is run.
        unit: What is drawn independently, in the plural.
        primary: The measure that ranks.
        task: The lm-eval task that asks and grades; "" where the suite asks by itself.
        needs_data: Whether it needs a file of passages, since the package has none of SQuAD.
        limit: Units where the command line names no number; None for all.
        hub: The data set's name on the hub, if it has one.
        sizes: Passages in one adapter, of a suite that learns several; the first is the default.
    """

    name: str
    title: str
    summary: str
    kind: Kind
    unit: str
    primary: str
    task: str = ""
    needs_data: bool = False
    limit: int | None = None
    sizes: tuple[int, ...] = (1,)
    higher_is_better: bool = True
    hub: str = ""


_ALL = (
    Suite(
        "novel_n1",
        "Invented facts, one passage",
        "40 bundled passages about things that do not exist, each learnt on its own and asked about without it",
        "passages",
        "passages",
        "contains",
        task="seal_novel",
    ),
    Suite(
        "squad_n1",
        "SQuAD, one passage",
        "Passages of SQuAD, each learnt on its own and asked about without it: n = 1 of SEAL's table 2",
        "passages",
        "passages",
        "contains",
        task="seal_squad",
        hub="rajpurkar/squad",
        needs_data=True,
        limit=200,
    ),
    Suite(
        "squad_cpt",
        "SQuAD, many passages at once",
        "Passages of SQuAD learnt together by one adapter: continued pretraining in SEAL's table 2",
        "together",
        "passages",
        "contains",
        task="seal_squad",
        hub="rajpurkar/squad",
        needs_data=True,
        sizes=(10, 50, 200),
    ),
    Suite(
        "squad_continual",
        "SQuAD, one passage after the other",
        "Sequences of edits to one adapter; after each edit all passages so far are asked again",
        "continual",
        "sequences",
        "final",
        hub="rajpurkar/squad",
        needs_data=True,
        limit=3,
        sizes=(8, 32),
    ),
    Suite(
        "arc_toy",
        "ARC, toy tasks",
        "20 small puzzles in ARC's format, each trained on at test time",
        "arc",
        "tasks",
        "exact_match",
        task="seal_arc_toy",
    ),
    Suite(
        "arc_paper",
        "ARC, the paper's tasks",
        "The ten evaluation tasks of SEAL's table 1",
        "arc",
        "tasks",
        "exact_match",
        task="seal_arc",
    ),
    Suite(
        "speed",
        "Speed",
        "Inner loops per hour, seconds per passage, and new tokens per second",
        "speed",
        "rounds",
        "inner_loops_per_hour",
        limit=3,
        sizes=(4,),
    ),
    Suite(
        "harm",
        "Harm",
        "What else changes when a passage is learnt: perplexity, what was known before, answers to unrelated questions",
        "harm",
        "passages",
        "perplexity_ratio",
        limit=8,
        higher_is_better=False,
    ),
)
SUITES: Mapping[str, Suite] = {suite.name: suite for suite in _ALL}
"""By name."""


def suite_named(name: str) -> Suite:
    """Raises InputError for a suite that there is not."""
    if name not in SUITES:
        raise InputError(f"there is no suite {name!r}; use {', '.join(SUITES)}")
    return SUITES[name]


def contexts_of(suite: Suite, data: str | None, limit: int | None) -> list[Context]:
    """The passages of a suite in their fixed order, at most `limit`. Raises InputError.

    Args:
        data: A file of passages; it replaces the bundled ones where the suite has such.
    """
    if suite.needs_data and data is None:
        raise InputError(f"{suite.name} needs passages of SQuAD; give --data dev-v1.1.json, or JSON lines")
    found = choose_passages(read_contexts(data) if data else novel(), limit)
    if not found:
        raise InputError(f"{data or suite.name} has no passage with questions; give one that has")
    return found
