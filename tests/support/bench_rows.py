"""Rows for tests: real answers, really graded, in results files that `seal bench` might have written."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from seal_agent.arc.text import format_attempts
from seal_agent.config import RECIPES
from seal_agent.data.bundled import novel
from seal_agent.evaluation.asked import arc_hash, arc_prompt_hash, arc_tasks
from seal_agent.evaluation.assemble import Measured, Setting, assemble
from seal_agent.evaluation.contestant import prompt_hash
from seal_agent.evaluation.passages import choose_passages, data_hash, unit_id
from seal_agent.evaluation.recipe_claims import settings_of
from seal_agent.evaluation.results import (
    DataFacts,
    ModelFacts,
    RecipeFacts,
    Results,
    RunFacts,
    SamplesFile,
    Unit,
    write_results,
)
from seal_agent.evaluation.samples import SUFFIX, Sample, read_samples, write_samples
from seal_agent.evaluation.scoring import graded, graded_arc, unit_scores
from seal_agent.evaluation.statistics import measures_of
from seal_agent.evaluation.suites import SUITES
from seal_agent.grading.graders import make_grader
from seal_agent.types import Verdict

RUN = RunFacts(
    "2026-11-29T12:00:00+00:00", "seal bench novel_n1", 12.5, "a processor", 2, [], "Linux", "3.11.7",
    {"seal-agent": "0.1.0", "transformers": "5.19.0"}, "abc1234",
)  # fmt: skip


def novel_row(
    folder: Path,
    recipe: str,
    right: Sequence[int],
    *,
    mode: str = "self_edit",
    passages: int = 8,
    figures: Mapping[str, float] | None = None,
) -> Path:
    """A row of novel_n1 whose answers to passage i are right for the first `right[i]` questions; its path."""
    contexts, grader = choose_passages(novel(), passages), make_grader()
    samples = [
        graded(
            Sample(
                unit_id(context), 0, question.text, question.golds,
                question.golds[0] if number < right[i % len(right)] else "nobody knows", Verdict.UNGRADED,
            ),
            grader,
        )
        for i, context in enumerate(contexts)
        for number, question in enumerate(context.questions)
    ]  # fmt: skip
    scores = unit_scores(samples)
    units = tuple(Unit(unit_id(context), context.title, scores[unit_id(context)]) for context in contexts)
    path = folder / f"novel_n1-{recipe.replace('/', '-')}.json"
    answers = path.with_name(path.stem + SUFFIX)
    stored = SamplesFile(answers.name, write_samples(samples, answers), len(samples))
    setting = Setting(
        SUITES["novel_n1"],
        ModelFacts("owner/model", "f" * 64, 1000, "float32", "hf"),
        RecipeFacts(
            recipe, mode, settings_of(RECIPES[recipe]) if recipe in RECIPES else {"answer": {"max_tokens": 64}}
        ),
        (0,),
        DataFacts("seal_novel", data_hash(contexts), len(contexts), len(samples), 0),
        "lexical",
        prompt_hash(64),
    )
    write_results(assemble(setting, Measured(units, figures or {"seconds_per_passage": 1.0}), RUN, stored), path)
    return path


def three_rows(folder: Path) -> list[Path]:
    """The base model, the passage in the prompt, and a recipe that is better than both."""
    return [
        novel_row(folder, "base", [0, 1], mode="base", figures={"seconds_per_passage": 0.0, "seconds_per_answer": 1.0}),
        novel_row(folder, "in_context", [3, 2], mode="in_context", figures={"seconds_per_passage": 0.0}),
        novel_row(folder, "default", [6, 5], figures={"seconds_per_passage": 115.0, "adapters_per_hour": 31.304348}),
    ]


def read(path: Path) -> Results:
    from seal_agent.evaluation.results import read_results

    return read_results(path)


def arc_row(folder: Path) -> Path:
    """A row of arc_toy about its first three tasks, of which the first is solved."""
    tasks = arc_tasks(SUITES["arc_toy"], 3)
    samples = [
        graded_arc(
            Sample(task.id, 0, f"{task.id} test {number}", (json.dumps(example.output.rows),), answer, Verdict.UNGRADED)
        )
        for task in tasks
        for number, example in enumerate(task.test)
        for answer in [format_attempts([example.output if task is tasks[0] else example.input], "compact")]
    ]
    scores = unit_scores(samples, arc=True)
    units = tuple(Unit(task.id, task.id, scores[task.id]) for task in tasks)
    path = folder / "arc_toy.json"
    answers = path.with_name(path.stem + SUFFIX)
    stored = SamplesFile(answers.name, write_samples(samples, answers), len(samples))
    setting = Setting(
        SUITES["arc_toy"], ModelFacts("m", "f" * 64, 1, "float32", "hf"),
        RecipeFacts("base", "base", settings_of(RECIPES["base"])), (0,),
        DataFacts("seal_arc_toy", arc_hash(tasks), 3, len(samples), 0), "exact match", arc_prompt_hash(),
    )  # fmt: skip
    write_results(assemble(setting, Measured(units, {}), RUN, stored), path)
    return path


def rewrite_answers(path: Path, edit: Callable[[Sample], Sample]) -> None:
    """Change every answer of a row about passages or puzzles, and make its units, means and hash follow."""
    results = read(path)
    assert results.samples
    answers = path.with_name(results.samples.file)
    samples = [edit(sample) for sample in read_samples(answers, results.samples.sha256)]
    scores = unit_scores(samples, arc=results.suite.startswith("arc"))
    units = [replace(unit, scores=scores[unit.id]) for unit in results.units]
    stored = replace(results.samples, sha256=write_samples(samples, answers), count=len(samples))
    write_results(replace(results, units=units, measures=measures_of(units), samples=stored), path)
