"""Turns what a run has measured into its results: units, means with intervals, costs, facts about the run."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from statistics import fmean
from typing import Any

from seal_agent.base_model.loading import hub_name
from seal_agent.base_model.model import BaseModel
from seal_agent.config import Recipe
from seal_agent.evaluation.contestant import PassageRecord
from seal_agent.evaluation.journal import Facts
from seal_agent.evaluation.passages import data_hash
from seal_agent.evaluation.recipe_claims import settings_of
from seal_agent.evaluation.results import (
    CorpusFacts,
    DataFacts,
    ModelFacts,
    RecipeFacts,
    Results,
    RunFacts,
    SamplesFile,
    Unit,
)
from seal_agent.evaluation.statistics import measures_of
from seal_agent.evaluation.suites import Suite
from seal_agent.outer_loop.archive.facts import describe_machine
from seal_agent.outer_loop.policy import policy_hash
from seal_agent.types import Context

HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Setting:
    """What a run is about, before anything is measured."""

    suite: Suite
    model: ModelFacts
    recipe: RecipeFacts
    seeds: tuple[int, ...]
    data: DataFacts
    grader: str
    prompt_hash: str


@dataclass(frozen=True, slots=True)
class LmEvalFacts:
    """What lm-eval's own results say of the first seed."""

    results: dict[str, dict[str, float | str]] = field(default_factory=dict)
    n_samples: dict[str, int] = field(default_factory=dict)
    versions: dict[str, float | str] = field(default_factory=dict)
    task_hashes: dict[str, str] = field(default_factory=dict)
    chat_template_sha: str | None = None
    lm_eval_version: str | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """What came out: one `Unit` each, plain figures, and curves."""

    units: tuple[Unit, ...]
    figures: Mapping[str, float]
    curves: Mapping[str, list[list[float | None]]] = field(default_factory=dict)
    failures: tuple[str, ...] = ()
    lm_eval: LmEvalFacts = LmEvalFacts()


def assemble(setting: Setting, measured: Measured, run: RunFacts, samples: SamplesFile | None) -> Results:
    """The results of a run. The primary measure must have been measured."""
    facts = measured.lm_eval
    return Results(
        suite=setting.suite.name,
        primary=setting.suite.primary,
        higher_is_better=setting.suite.higher_is_better,
        model=setting.model,
        recipe=setting.recipe,
        seeds=list(setting.seeds),
        data=setting.data,
        grader=setting.grader,
        prompt_hash=setting.prompt_hash,
        measures=measures_of(measured.units),
        figures={name: round(value, 6) for name, value in measured.figures.items()},
        units=list(measured.units),
        run=run,
        samples=samples,
        curves=dict(measured.curves),
        failures=list(measured.failures),
        results=facts.results,
        n_samples=facts.n_samples,
        versions=facts.versions,
        task_hashes=facts.task_hashes,
        chat_template_sha=facts.chat_template_sha,
        lm_eval_version=facts.lm_eval_version,
    )


def model_facts(base: BaseModel, engine: str) -> ModelFacts:
    """Facts about a loaded base model."""
    parameters = int(base.module.num_parameters())
    name = hub_name(base.name)
    return ModelFacts(name, base.identity, parameters, base.dtype_name, engine)


def recipe_facts(
    name: str, recipe: Recipe, changed: Mapping[str, Any], corpus: Sequence[Context] | None = None
) -> RecipeFacts:
    """The recipe with the settings that matter for its mode; `corpus` are the passages that `retrieval` searches."""
    settings = settings_of(recipe)
    if recipe.policy:
        settings["policy"] = policy_hash(recipe.policy)
    searched = None if corpus is None else CorpusFacts(len(corpus), data_hash(corpus))
    return RecipeFacts(name, recipe.mode, settings, dict(changed), searched)


def process_facts(base: BaseModel, engine: str) -> dict[str, Any]:
    """When this process began, on what it measures, and with which versions; JSON values for the journal."""
    machine = describe_machine()
    device = base.device.type
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": device,
        "dtype": base.dtype_name,
        "engine": engine,
        **machine,
        "gpu": machine["gpu"] if device == "cuda" else [],
        "system": machine["system"].split(" ")[0],
    }


def run_facts(
    own: Facts, makers: Sequence[Facts | None], seconds: float | None, command: Sequence[str] | None = None
) -> RunFacts:
    """Facts about how a row was measured, in one process or in several.

    Args:
        own: Facts of this process, which stand in where the journal has none.
        makers: Those of the processes that measured the row, in order; None for lines of older versions.
        seconds: What they took together; None where an older version did not say.
    """
    known = [maker for maker in makers if maker] or [own]
    first, last = known[0], known[-1]
    packages = {name: _each([maker["packages"].get(name) for maker in known]) for name in last["packages"]}
    return RunFacts(
        date=first["date"],
        command=shlex.join(command if command is not None else ["seal", *sys.argv[1:]]),
        seconds=None if seconds is None else round(seconds, 1),
        processor=last["processor"],
        cores=last["cores"],
        gpu=list(last["gpu"]),
        system=last["system"],
        python=_each([maker["python"] for maker in known]),
        packages=packages,
        commit=_each([maker["commit"] for maker in known]) or None,
        device=last["device"] if makers and None not in makers else None,
    )


def _each(values: Sequence[str | None]) -> str:
    """Every different value, in order."""
    return ", ".join(dict.fromkeys(value for value in values if value))


def cost_figures(records: Sequence[PassageRecord], passages: int = 1) -> dict[str, float]:
    """Costs per passage and per answer, and how much was written: means over passages.

    Args:
        passages: How many one adapter learns.
    """
    done = [record for record in records if not record.failure]
    if not done:
        return {}
    answers = [answer for record in done for answer in record.answers]
    learning = fmean(record.seconds_to_write + record.seconds_to_train for record in done)
    figures = {
        "seconds_to_write": fmean(record.seconds_to_write for record in done),
        "seconds_to_train": fmean(record.seconds_to_train for record in done),
        "seconds_per_passage": learning,
        "seconds_per_answer": sum(record.seconds_to_answer for record in done) / max(1, len(answers)),
        "prompt_tokens_per_answer": fmean(answer.prompt_tokens for answer in answers) if answers else 0.0,
    }
    if learning:
        figures["adapters_per_hour"] = HOUR / (learning * passages)
    return figures | _note_figures(done)


def _note_figures(records: Sequence[PassageRecord]) -> dict[str, float]:
    notes = [record.notes for record in records if record.notes]
    if not notes:
        return {}
    figures = {"notes": fmean(one.count for one in notes), "note_tokens": fmean(one.tokens for one in notes)}
    for name in ("distinct", "similarity"):
        values = [value for one in notes if (value := getattr(one, name)) is not None]
        if values:
            figures[f"note_{name}"] = fmean(values)
    return figures
