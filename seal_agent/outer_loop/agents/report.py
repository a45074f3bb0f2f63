"""The report of an agent's run: success per grade and round, the scorer, shortcuts, the gate, and screenshots."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from seal_agent.agents.scoring.quality import LEAST_LABELS, LEAST_TASKS, ScorerQuality
from seal_agent.outer_loop.agents.rounds import AgentResults, AgentRound, TaskResult
from seal_agent.outer_loop.archive.facts import flat
from seal_agent.outer_loop.report.blocks import Chart, Document, Line, Paragraph, Picture, Section, Table
from seal_agent.outer_loop.report.html import page
from seal_agent.outer_loop.report.interval import DRAWS, Estimate, student_quantile
from seal_agent.outer_loop.report.markdown import markdown
from seal_agent.outer_loop.report.pictures import FOLDER, write_pictures

MARKDOWN, HTML = "report.md", "report.html"
MISSING = "—"


@dataclass(frozen=True, slots=True)
class Screenshot:
    """How a held-out task ended: a PNG, and whether it was done."""

    task: str
    goal: str
    success: bool
    png: bytes


def write_agent_report(
    folder: Path,
    results: AgentResults,
    manifest: Mapping[str, Any],
    seconds: Mapping[tuple[int, str], float],
    counts: Mapping[tuple[int, str], int],
    screenshots: Sequence[Screenshot] = (),
) -> tuple[Path, Path]:
    """Write report.md, report.html and the pictures; returns the paths of the first two.

    Args:
        seconds: Worker seconds by (round, stage).
        counts: Finished pieces of work by (round, stage).
    """
    sections = [
        Section("Success on held-out tasks", tuple(_success(results))),
        Section("Exploration", tuple(_exploration(results))),
        Section("Scorer", tuple(_scorer(results))),
        Section("Shortcuts", tuple(_shortcuts(results))),
        Section("Gate", (_gate(results),)),
        *_pictures(screenshots),
        Section("Time by stage", (_times(seconds, counts),)),
        Section("Settings", (_facts(manifest.get("config", {})),)),
        Section("Machine and versions", (_facts({k: v for k, v in manifest.items() if k != "config"}),)),
    ]
    document = Document(f"An agent that learns in the environment {results.environment}", tuple(sections))
    write_pictures(folder, document)
    paths = folder / MARKDOWN, folder / HTML
    for path, text in zip(paths, (markdown(document), page(document)), strict=True):
        path.write_text(text, encoding="utf-8")
    return paths


def trained_grades(results: AgentResults) -> tuple[int, ...]:
    """The grades of the tasks that were explored so far."""
    return tuple(sorted({task.grade for round_ in results.rounds for task in round_.explored}))


def success(results: Sequence[TaskResult], grades: Sequence[int] | None = None) -> Estimate | None:
    """Share of tasks done, with its 95 % bootstrap interval over families of tasks; None for no tasks."""
    chosen = [each for each in results if grades is None or each.grade in grades]
    if not chosen:
        return None
    sums_F, counts_F = _by_family(chosen, [float(each.success) for each in chosen])
    picks_DF = np.random.default_rng(0).integers(0, len(sums_F), (DRAWS, len(sums_F)))
    shares_D = sums_F[picks_DF].sum(axis=1) / counts_F[picks_DF].sum(axis=1)
    low, high = np.quantile(shares_D, [0.025, 0.975])
    return Estimate(float(sums_F.sum() / len(chosen)), float(low), float(high), len(chosen))


def gain(before: Sequence[TaskResult], after: Sequence[TaskResult], grades: Sequence[int]) -> Estimate | None:
    """Rise of the share of tasks done, paired by task, with its 95 % interval; None for no tasks.

    The interval is Student's over families of tasks, as of a ratio of two sums over them: it may decide, also where
    families are few.
    """
    done = {each.task: each.success for each in before if each.grade in grades}
    chosen = [each for each in after if each.task in done]
    if not chosen:
        return None
    sums_F, counts_F = _by_family(chosen, [float(each.success) - float(done[each.task]) for each in chosen])
    mean, families = float(sums_F.sum() / len(chosen)), len(sums_F)
    half = 2.0  # a rise is within -1 and 1
    if families > 1:
        deviations_F = sums_F - mean * counts_F
        error = math.sqrt(families / (families - 1) * float((deviations_F**2).sum())) / len(chosen)
        half = student_quantile(families - 1) * error
    return Estimate(mean, max(-1.0, mean - half), min(1.0, mean + half), len(chosen))


def _by_family(results: Sequence[TaskResult], values: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """The sum of the values of each family and their number: its tasks succeed or fail together.

    A task without a family is one by itself; so is each task where all are of one family.
    """
    named = {each.family for each in results}
    families: dict[str, list[float]] = defaultdict(list)
    for each, value in zip(results, values, strict=True):
        families[f"family {each.family}" if each.family and len(named) > 1 else each.task].append(value)
    return np.array([sum(some) for some in families.values()]), np.array([len(some) for some in families.values()])


def _success(results: AgentResults) -> Iterable[Paragraph | Table | Chart]:
    grades = sorted({each.grade for each in results.base})
    stages = [("the base model", results.base)]
    stages += [(f"after round {round_.round + 1}", round_.held_out) for round_ in results.rounds]
    trained = trained_grades(results)
    yield Paragraph(
        "Held-out tasks are never trained on. Each is tried once, greedily. Tasks of a family differ in their values "
        "only, so 95 % intervals are over families: bootstrap ones of shares, and Student's of the gain. Grades "
        f"trained so far: {', '.join(map(str, trained))}."
    )
    headings = ("policy", *(f"grade {grade}" for grade in grades), "trained grades", "gain over the base model")
    yield Table(
        headings,
        tuple(
            (
                name,
                *(_share(success(rows, (grade,))) for grade in grades),
                _share(success(rows, trained)),
                _text(gain(results.base, rows, trained)) if rows is not results.base else MISSING,
            )
            for name, rows in stages
        ),
    )
    lines = [Line(f"grade {grade}", tuple(success(rows, (grade,)) for _, rows in stages)) for grade in grades]
    yield Chart("Share of held-out tasks done", tuple(name for name, _ in stages), tuple(lines))


def _exploration(results: AgentResults) -> Iterable[Paragraph | Table]:
    yield Paragraph(
        "Tasks are explored with several attempts each; those without a success are tried again from their steps."
    )
    rows = []
    for round_ in results.rounds:
        for grade in sorted({task.grade for task in round_.explored}):
            tasks = [task for task in round_.explored if task.grade == grade]
            attempts = sum(task.attempts for task in tasks)
            rerolled = sum(task.rerolled for task in tasks)
            rows.append(
                (
                    str(round_.round + 1),
                    str(grade),
                    f"{sum(task.solved for task in tasks)} of {len(tasks)}",
                    f"{sum(task.successes for task in tasks)} of {attempts}",
                    f"{sum(task.rerolled_successes for task in tasks)} of {rerolled}",
                )
            )
    yield Table(("round", "grade", "tasks done", "attempts that succeed", "of those tried again"), tuple(rows))
    lessons = [
        (str(r.round + 1), str(r.lessons), ", ".join(f"{loss:.3f}" for loss in r.losses)) for r in results.rounds
    ]
    yield Table(("round", "attempts learnt", "loss by epoch"), tuple(lessons))


def _scorer(results: AgentResults) -> Iterable[Paragraph | Table]:
    yield Paragraph(
        "F1 of accepting steps, on labels of tasks that the scorer was not trained on, with its 95 % bootstrap "
        "interval over these tasks. Hard labels are bad steps that the last scorer had accepted. A scorer may choose "
        f"in the next round where its F1 reaches the bound, on at least {LEAST_LABELS} good and {LEAST_LABELS} bad "
        f"labels of at least {LEAST_TASKS} tasks each."
    )
    rows = []
    for round_ in results.rounds:
        scorer, quality = round_.scorer, round_.scorer.quality
        figures = (
            (
                f1_of(quality),
                f"{quality.precision:.2f}",
                f"{quality.recall:.2f}",
                f"{quality.labels} of {quality.tasks or 'some'} tasks",
            )
            if quality
            else (MISSING,) * 4
        )
        chose = "yes" if round_.selected else "no"
        may = "yes" if scorer.selects else "no"
        rows.append((str(round_.round + 1), scorer.name, str(scorer.labels), str(scorer.hard), *figures, chose, may))
    headings = (
        "round",
        "scorer",
        "labels",
        "hard",
        "F1",
        "precision",
        "recall",
        "held-out labels",
        "chose",
        "may choose",
    )
    yield Table(headings, tuple(rows))


def _shortcuts(results: AgentResults) -> Iterable[Paragraph | Table]:
    yield Paragraph(
        "A shortcut makes a task look done without doing it. Without the environment's verdict, the scorer alone says "
        "what would be learnt (in the first round the untrained model); with it, only what the environment confirms is."
    )
    rows = []
    for round_ in results.rounds:
        counts = round_.shortcuts
        rows.append(
            (
                str(round_.round + 1),
                str(counts.attempts),
                str(counts.taken),
                str(counts.by_scorer_alone),
                str(counts.with_verdict),
            )
        )
    yield Table(("round", "attempts", "took a shortcut", "learnt without the verdict", "learnt with it"), tuple(rows))


def _gate(results: AgentResults) -> Table:
    rows = [
        (
            str(round_.round + 1),
            round_.candidate[:12] or MISSING,
            "promoted" if round_.gate.promoted else "not promoted",
            round_.gate.reason,
            ", ".join(round_.gate.lost) or MISSING,
        )
        for round_ in results.rounds
    ]
    return Table(("round", "policy", "", "why", "tasks lost"), tuple(rows))


def _pictures(screenshots: Sequence[Screenshot]) -> Iterable[Section]:
    if screenshots:
        blocks = []
        for number, shot in enumerate(screenshots, 1):
            alt = f"{shot.task}: {'done' if shot.success else 'not done'}"
            blocks.append(Picture(f"{FOLDER}/{number}.png", alt, f"{alt} · {shot.goal}", shot.png))
        summary = Paragraph("How the last policy left held-out tasks.")
        yield Section("Screenshots", (summary, *blocks))


def _times(seconds: Mapping[tuple[int, str], float], counts: Mapping[tuple[int, str], int]) -> Table:
    rows = [
        (str(round_ + 1), stage, str(counts[round_, stage]), f"{spent:.1f}")
        for (round_, stage), spent in sorted(seconds.items())
        if stage != "round"
    ]
    return Table(("round", "stage", "pieces", "seconds"), tuple(rows))


def _facts(config: Mapping[str, Any]) -> Table:
    return Table(("setting", "value"), tuple((name, str(value)) for name, value in flat(config)))


def _share(value: Estimate | None) -> str:
    return MISSING if value is None else f"{value.mean:.2f} [{value.low:.2f}, {value.high:.2f}] of {value.count}"


def _text(value: Estimate | None) -> str:
    return MISSING if value is None else str(value)


def f1_of(quality: ScorerQuality) -> str:
    """A scorer's F1 with its interval, where that was measured."""
    interval = "" if quality.low is None else f" [{quality.low:.2f}, {quality.high:.2f}]"
    return f"{quality.f1:.2f}{interval}"


def summary_of(round_: AgentRound) -> dict[str, Any]:
    """A round's figures, as JSON values."""
    quality = round_.scorer.quality
    return {
        "round": round_.round,
        "tasks": len(round_.explored),
        "tasks_done": sum(task.solved for task in round_.explored),
        "lessons": round_.lessons,
        "held_out": len(round_.held_out),
        "held_out_done": sum(each.success for each in round_.held_out),
        "scorer_f1": quality.f1 if quality else None,
        "scorer_f1_interval": [quality.low, quality.high] if quality else None,
        "scorer_tasks": quality.tasks if quality else 0,
        "scorer_selected": round_.selected,
        "promoted": round_.gate.promoted,
        "shortcuts": round_.shortcuts.taken,
        "policy": round_.policy,
        "next_policy": round_.next_policy,
    }
