"""Whether what a row says of its grader, prompts, seeds, data and titles is so."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from seal_agent.arc.grids import STYLES, Grid
from seal_agent.data.bundled import novel
from seal_agent.errors import InputError
from seal_agent.evaluation.asked import arc_prompt_hash
from seal_agent.evaluation.contestant import prompt_hash
from seal_agent.evaluation.failed import check_few
from seal_agent.evaluation.harm import BASE_UNIT
from seal_agent.evaluation.passages import data_hash, unit_id
from seal_agent.evaluation.recipe_claims import LEARNS
from seal_agent.evaluation.rescoring import EXACT_GRADER, can_be_graded
from seal_agent.evaluation.results import Results
from seal_agent.evaluation.samples import Sample
from seal_agent.evaluation.speed import HOUR
from seal_agent.evaluation.suites import BUNDLED, SUITES, Suite
from seal_agent.evaluation.verdicts import grader_name
from seal_agent.types import Context, Verdict

_CLOSE = 1e-9


def check_row(results: Results, samples: Sequence[Sample]) -> None:
    """Raises InputError for a grader, prompts, seeds, a date or lm-eval's names that cannot be."""
    suite = SUITES[results.suite]
    _check_grader(results, suite)
    if results.prompt_hash != _prompts_of(results, suite):
        raise InputError("prompt_hash is not that of this version's prompts: it was changed, or made with other ones")
    if results.recipe.mode not in LEARNS and results.seeds != [0]:
        raise InputError(f"the seeds are {results.seeds}, although nothing is drawn; the file was changed")
    try:
        datetime.fromisoformat(results.run.date)
    except ValueError as err:
        raise InputError(f"run.date is {results.run.date!r}, which is no date; the file was changed") from err
    named = {*results.n_samples, *results.versions, *results.task_hashes} - {suite.task}
    if named:
        raise InputError(f"lm-eval's facts are of the task {min(named)}, but {suite.name} has {suite.task or 'none'}")
    first = [sample for sample in samples if sample.seed == results.seeds[0]]
    if results.n_samples and results.n_samples != {suite.task: len(first)}:
        raise InputError(f"n_samples is {results.n_samples}, but there are {len(first)} answers; the file was changed")


def check_samples(results: Results, samples: Sequence[Sample]) -> None:
    """Raises InputError for answers that cannot be scored, or that are of other seeds."""
    seeds = {sample.seed for sample in samples if sample.unit != BASE_UNIT}
    if seeds != set(results.seeds):
        raise InputError(f"the seeds are {results.seeds}, but the answers are of {sorted(seeds)}; the file was changed")
    arc = SUITES[results.suite].kind == "arc"
    for sample in samples:
        if sample.direct not in ("", *Verdict) or not sample.golds or (arc and not _is_grid(sample.golds[0])):
            raise InputError(f"the answer to {sample.question!r} cannot be scored; the file was changed")


def _is_grid(text: str) -> bool:
    try:
        Grid.of(json.loads(text))
    except (ValueError, TypeError, IndexError, InputError):
        return False
    return True


def _check_grader(results: Results, suite: Suite) -> None:
    judge, _, host = results.grader.removeprefix("judge: ").rpartition(" @ ")
    of_model = grader_name("model", results.model.identity)
    known = (
        can_be_graded(results)
        or results.grader == of_model
        or (results.grader.startswith("judge: ") and judge and host)
    )
    if not known or (suite.kind == "arc" and results.grader != EXACT_GRADER):
        raise InputError(
            f"there is no grader {results.grader!r} of {suite.name}; a row of an older version is graded by name again "
            "with `seal bench`"
        )


def _prompts_of(results: Results, suite: Suite) -> str:
    if suite.kind == "arc":
        style = results.recipe.changed.get("style")
        return arc_prompt_hash(style if style in STYLES else None)
    answer = results.recipe.settings.get("answer")
    return prompt_hash(answer.get("max_tokens", 0) if isinstance(answer, dict) else 0)


# ---------------------------------------------------------------- what the passages say


def check_names(results: Results, contexts: Sequence[Context], data: str | None) -> None:
    """Raises InputError for a name of the data or a title of a unit that is not that of the suite's passages."""
    expected = Path(data).name if data else SUITES[results.suite].task or BUNDLED
    if results.data.name != expected:
        raise InputError(f"data.name is {results.data.name!r}, but the passages are those of {expected}")
    titles = {unit_id(context): context.title for context in contexts}
    for unit in results.units:
        if titles.get(unit.id, unit.title) != unit.title:
            raise InputError(f"the unit {unit.title!r} is about {titles[unit.id]!r}; the file was changed")


def check_not_bundled(results: Results, samples: Sequence[Sample]) -> None:
    """Raises InputError for a suite of other passages whose row is about the bundled ones."""
    bundled = {unit_id(context) for context in novel()}
    if results.data.name == BUNDLED or any(s.unit in bundled or s.passage in bundled for s in samples):
        raise InputError(
            f"the passages are the bundled ones, but those of {results.suite} come from a file; see --data"
        )


def check_sequence_titles(results: Results, samples: Sequence[Sample]) -> None:
    """Raises InputError for a sequence of edits under another number than its place."""
    number = {unit: place for place, unit in enumerate(dict.fromkeys(sample.unit for sample in samples), 1)}
    for unit in results.units:
        if unit.title != f"sequence {number.get(unit.id)}":
            raise InputError(f"{unit.title!r} is sequence {number.get(unit.id)}; the file was changed")


def check_corpus(results: Results, contexts: Sequence[Context]) -> str:
    """Raises InputError where `retrieval` searched other passages than the suite's. Returns why they could not be
    compared, "" where they were, or nothing was searched.
    """
    if results.recipe.mode != "retrieval":
        return ""
    corpus = results.recipe.corpus
    if corpus is None:
        return "which passages were searched, which rows of older versions do not say"
    whole = SUITES[results.suite].kind == "passages"
    if (whole and corpus.passages != len(contexts)) or data_hash(contexts[: corpus.passages]) != corpus.hash:
        raise InputError(
            f"the row searched {corpus.passages} passages that are not those of {results.data.name}: their number or "
            "hash differs"
        )
    return ""


def check_rounds(results: Results, contexts: Sequence[Context]) -> None:
    """Raises InputError for rounds of `speed` that contradict themselves, failed too often or learnt other passages."""
    if {unit.id for unit in results.units} - set(map(str, results.seeds)):
        raise InputError(f"the seeds are {results.seeds}, which are not those of the rounds; the file was changed")
    for unit in results.units:
        loops, seconds = (unit.scores.get(name, 0.0) for name in ("inner_loops_per_hour", "seconds_per_passage"))
        if abs(loops * seconds - HOUR) > _CLOSE * HOUR or unit.title != f"round {int(unit.id) + 1}":
            raise InputError(
                f"{unit.title} has {loops:g} inner loops an hour of {seconds:g} s each; the file was changed"
            )
    size = int(results.figures.get("passages_at_once", 0))
    for failure in results.failures:
        if failure.partition(":")[0] not in {f"round {seed + 1}" for seed in results.seeds}:
            raise InputError(f"the failure {failure!r} is of no round; the file was changed")
    check_few(len(results.failures), size * len(results.seeds), "passages")
    if data_hash(contexts[:size]) != results.data.hash:
        raise InputError(f"the passages are not the first {size} ones of the suite: their hash differs")


def check_puzzle_titles(results: Results) -> None:
    """Raises InputError for a task of ARC under another name, or of other data."""
    task = SUITES[results.suite].task
    if results.data.name != task or any(unit.title != unit.id for unit in results.units):
        raise InputError(f"data.name or the title of a task is not that of {task}; the file was changed")
