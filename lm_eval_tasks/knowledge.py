"""Shared by the knowledge tasks: documents, the prompt, grading, and the paper's mean over passages."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from datasets import Dataset

from seal_agent.data.contexts import read_contexts
from seal_agent.evaluation.scoring import is_answer
from seal_agent.grading.grader import DirectnessGrader, Grader
from seal_agent.grading.graders import DEFAULT_GRADER, check_grader
from seal_agent.integrations.lm_eval.tasks import (
    DOMAIN_FIELD,
    GRADER_FIELD,
    KNOWLEDGE,
    UNANSWERED,
    grader_of,
    keep_passages,
)
from seal_agent.prompts import question_prompt
from seal_agent.types import Context, Verdict

Graded = tuple[str, float]
"""A passage's index, and whether one of its questions was answered correctly (1.0 or 0.0)."""


def documents(
    contexts: Sequence[Context],
    limit_contexts: int | None = None,
    grader: str = DEFAULT_GRADER,
    judge_model: str | None = None,
    judge_url: str | None = None,
    passages_file: str | None = None,
    **_: object,
) -> dict[str, Dataset]:
    """One document per question of the first `limit_contexts` contexts (None: all), as lm-eval's split "test".

    A `passages_file` replaces the contexts. All of them are kept for `mode=retrieval` to search.

    lm-eval passes all model arguments and metadata by name; those that are not named here are ignored. Documents name
    their grader unless it is the default, so that the hash of a task stays what it was.
    """
    check_grader(grader, judge_model, judge_url)  # raises before anything is trained
    contexts = read_contexts(passages_file) if passages_file else contexts
    keep_passages(contexts)
    settings = {"name": grader, "judge_model": judge_model, "judge_url": judge_url}
    choice = {GRADER_FIELD: json.dumps(settings)} if grader != DEFAULT_GRADER else {}
    rows = [
        {
            DOMAIN_FIELD: KNOWLEDGE,
            "passage": str(index),
            "title": context.title,
            "context": context.text,
            "question": question.text,
            "answers": list(question.golds),
            **choice,
        }
        for index, context in enumerate(contexts[:limit_contexts])
        for question in context.questions
    ]
    return {"test": Dataset.from_list(rows)}


def question(doc: Mapping[str, Any]) -> str:
    """The question without its passage: the prompt for models other than `seal`."""
    return question_prompt(doc["title"], doc["question"])


def target(doc: Mapping[str, Any]) -> str:
    """The first gold answer, for lm-eval's sample log."""
    return str(doc["answers"][0])


def grade(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float | Graded]:
    """The metrics of one question. An ungraded answer counts only in `ungraded`."""
    (answer,) = results
    verdict = Verdict.UNGRADED
    grader = grader_of(doc.get(GRADER_FIELD, ""))
    if not answer.startswith(UNANSWERED):
        verdict = grader.grade(doc["question"], doc["answers"], answer)
    if verdict is Verdict.UNGRADED:
        return {"ungraded": 1.0}
    correct = float(verdict is Verdict.CORRECT)
    graded = (doc["passage"], correct)
    metrics = {"acc": correct, "passage_acc": graded, "passage_acc_stderr": graded, "ungraded": 0.0}
    direct = _directness(grader, doc, answer, verdict)
    metrics |= {"words": float(len(answer.split()))}
    metrics |= _by_passage(doc, "is_answer", is_answer(doc["answers"], answer, verdict, direct))
    return metrics | (_by_passage(doc, "direct", direct is Verdict.CORRECT) if direct else {})


def _directness(grader: Grader, doc: Mapping[str, Any], answer: str, verdict: Verdict) -> Verdict | None:
    """Whether the answer also singles out what was asked for; None if the grader cannot tell."""
    if not isinstance(grader, DirectnessGrader):
        return None
    if verdict is Verdict.CORRECT:  # no other answer is direct
        return grader.direct(doc["question"], doc["answers"], answer)
    return verdict


def _by_passage(doc: Mapping[str, Any], name: str, holds: bool) -> dict[str, float | Graded]:
    """A metric's mean over questions, and over passages with its standard error."""
    graded = (doc["passage"], float(holds))
    return {name: float(holds), f"passage_{name}": graded, f"passage_{name}_stderr": graded}


def passage_mean(items: Sequence[Graded]) -> float:
    """Mean over passages of the fraction of each passage's questions answered correctly, 0..1 (SEAL's metric)."""
    return fmean(_passage_means(items))


def passage_stderr(items: Sequence[Graded]) -> float | str:
    """Standard error of `passage_mean` with passages as independent draws; "N/A" for a single passage.

    lm-eval cannot compute a standard error for a custom aggregation and writes "N/A" under `passage_acc_stderr`. A
    metric of that name, listed after `passage_acc`, replaces it, in the table too.
    """
    means = _passage_means(items)
    return stdev(means) / math.sqrt(len(means)) if len(means) > 1 else "N/A"


def _passage_means(items: Sequence[Graded]) -> list[float]:
    by_passage: dict[str, list[float]] = {}
    for passage, correct in items:
        by_passage.setdefault(passage, []).append(correct)
    return [fmean(passage_scores) for passage_scores in by_passage.values()]
