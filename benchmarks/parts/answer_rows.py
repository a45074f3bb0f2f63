"""The rows that answers.py has measured so far, one per recipe and passage, and the passages they are about."""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from typing import Any

from parts import results_file
from parts.answer_recipes import Recipe, recipe_key
from seal_agent.data import bundled, contexts
from seal_agent.grading.lexical import LexicalGrader
from seal_agent.types import Context

NOVEL, SQUAD = "seal_novel", "squad"
EXPLORED = 24  # passages of each domain that the search for the default recipe has seen; the others confirm
PLAIN, SHORT = "answers", "short"
"""Keys of a row: what the model itself says (the default recipe's adapters: a sentence), and answers in a few words."""
Row = dict[str, Any]
Spans = dict[str, tuple[int, int]]
"""Passages [start, stop) of each domain, in the shuffled order."""


class Measurements:
    """All rows, those of an earlier run with the same config included."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.out, self.seed, self.model = options.out, options.seed, options.model
        self.passages = {NOVEL: shuffled(bundled.novel(), options.seed)}
        if options.squad:
            self.passages[SQUAD] = shuffled(contexts.read_contexts(options.squad), options.seed)
        counts = {domain: len(contexts) for domain, contexts in self.passages.items()}
        self.config = {"model": options.model, "seed": options.seed, "passages": counts}
        self.run = results_file.describe_run()
        self.rows = _regraded(results_file.load(options.out, self.config))

    def rows_of(self, recipe: Recipe, domain: str, start: int, stop: int) -> list[Row]:
        """Rows of a recipe about passages [start, stop) of a domain, in the order of the passages."""
        key = recipe_key(recipe)
        rows = [
            row
            for row in self.rows
            if row["recipe"] == key and row["domain"] == domain and start <= row["passage"] < stop
        ]
        return sorted(rows, key=lambda row: row["passage"])

    def missing(self, recipe: Recipe, spans: Spans) -> list[tuple[str, int]]:
        """Domains and numbers of the passages that have no row of this recipe."""
        return [
            (domain, number)
            for domain, (start, stop) in spans.items()
            for number in range(start, min(stop, len(self.passages[domain])))
            if not self.rows_of(recipe, domain, number, number + 1)
        ]

    def add(self, recipe: Recipe, domain: str, number: int, measured: Row) -> None:
        """Add what was measured of a passage, and save the file."""
        about = {
            "recipe": recipe_key(recipe),
            "domain": domain,
            "passage": number,
            "title": self.passages[domain][number].title,
            "commit": self.run["commit"],
        }
        self.rows.append({**about, **measured})
        self.save()

    def save(self, **extra: Any) -> None:
        results_file.save(self.out, self.config, self.run, self.rows, **extra)


def accuracies(rows: Sequence[Row], style: str = PLAIN, verdict: str = "verdict") -> list[float]:
    """Accuracy of each passage, 0..1: `verdict` is "verdict" (conveys the gold answer) or "direct"."""
    return [results_file.accuracy(row[style], verdict) for row in rows]


def directness(rows: Sequence[Row]) -> list[float]:
    """Share of direct answers of each passage, 0..1; of answers in a few words where there are such."""
    return [results_file.accuracy(row.get(SHORT) or row[PLAIN], "direct") for row in rows]


def shuffled(contexts: Sequence[Context], seed: int) -> list[Context]:
    """The order in which the search saw the passages, and in which the others confirm."""
    return random.Random(seed).sample(list(contexts), len(contexts))


def _regraded(rows: list[Row]) -> list[Row]:
    """Rows of an earlier run, their answers graded again by the current grader."""
    grader = LexicalGrader()
    for row in rows:
        for answer in (a for name in (PLAIN, SHORT) for a in row.get(name, ())):
            graded = answer["question"], answer["golds"], answer["answer"]
            answer["verdict"], answer["direct"] = grader.grade(*graded).value, grader.direct(*graded).value
    return rows
