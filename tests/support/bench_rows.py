"""Rows for tests: real answers, really graded, in results files that `seal bench` might have written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from seal_agent.data.bundled import novel
from seal_agent.evaluation.assemble import Measured, Setting, assemble
from seal_agent.evaluation.contestant import prompt_hash
from seal_agent.evaluation.passages import choose_passages, data_hash, unit_id
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
from seal_agent.evaluation.samples import SUFFIX, Sample, write_samples
from seal_agent.evaluation.scoring import graded, unit_scores
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
                prompt_tokens=40,
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
        RecipeFacts(recipe, mode, {"answer": {"max_tokens": 64}}),
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
        novel_row(folder, "default", [6, 5], figures={"seconds_per_passage": 115.0, "adapters_per_hour": 31.0}),
    ]


def read(path: Path) -> Results:
    from seal_agent.evaluation.results import read_results

    return read_results(path)
