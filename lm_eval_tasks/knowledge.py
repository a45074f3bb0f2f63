"""What the knowledge tasks share: documents, the question as it is asked, grading, and the paper's mean."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from datasets import Dataset

from seal_agent.grading.graders import default_grader
from seal_agent.integrations.lm_eval.tasks import DOMAIN_FIELD, KNOWLEDGE, UNANSWERED
from seal_agent.prompts import question_prompt
from seal_agent.types import Context, Verdict

Graded = tuple[str, float]
"""A passage's number and whether one of its questions was answered correctly (1.0 or 0.0)."""


def documents(contexts: Sequence[Context], limit_contexts: int | None = None) -> dict[str, Dataset]:
    """One document per question of the first `limit_contexts` passages (None: all), as the split "test"."""
    rows = [
        {
            DOMAIN_FIELD: KNOWLEDGE,
            "passage": str(number),
            "title": context.title,
            "context": context.text,
            "question": question.text,
            "answers": list(question.golds),
        }
        for number, context in enumerate(contexts[:limit_contexts])
        for question in context.questions
    ]
    return {"test": Dataset.from_list(rows)}


def question(doc: Mapping[str, Any]) -> str:
    """The question without its passage: what a model other than `seal` is asked."""
    return question_prompt(doc["title"], doc["question"])


def target(doc: Mapping[str, Any]) -> str:
    """The preferred answer, for the log of samples."""
    return str(doc["answers"][0])


def grade(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float | Graded]:
    """The metrics of one question. An ungraded answer enters no mean; it is counted in `ungraded`."""
    (answer,) = results
    verdict = Verdict.UNGRADED
    if not answer.startswith(UNANSWERED):
        verdict = default_grader().grade(doc["question"], doc["answers"], answer)
    if verdict is Verdict.UNGRADED:
        return {"ungraded": 1.0}
    correct = float(verdict is Verdict.CORRECT)
    of_passage = (doc["passage"], correct)
    return {"acc": correct, "passage_acc": of_passage, "passage_acc_stderr": of_passage, "ungraded": 0.0}


def passage_mean(items: Sequence[Graded]) -> float:
    """Mean over passages of the fraction of each passage's questions answered correctly (SEAL's metric)."""
    return fmean(_by_passage(items))


def passage_stderr(items: Sequence[Graded]) -> float | str:
    """Standard error of `passage_mean`, passages being the independent draws; "N/A" for a single one.

    lm-eval knows no standard error for an aggregation of one's own and writes "N/A" under `passage_acc_stderr`;
    a metric of that name, listed after it, puts the number in its place, in the table too.
    """
    means = _by_passage(items)
    return stdev(means) / math.sqrt(len(means)) if len(means) > 1 else "N/A"


def _by_passage(items: Sequence[Graded]) -> list[float]:
    grouped: dict[str, list[float]] = {}
    for passage, correct in items:
        grouped.setdefault(passage, []).append(correct)
    return [fmean(of_passage) for of_passage in grouped.values()]
