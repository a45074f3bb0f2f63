"""The report of a run of `seal tune`: the result, the front, the lineage, the settings that mattered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from seal_agent.config import TuneConfig
from seal_agent.outer_loop.archive.facts import flat
from seal_agent.outer_loop.report.blocks import Block, Document, Dot, Listing, Paragraph, Scatter, Section, Table
from seal_agent.outer_loop.report.html import page
from seal_agent.outer_loop.report.markdown import markdown
from seal_agent.outer_loop.tuning.archive import Archive, Candidate, success_of
from seal_agent.outer_loop.tuning.attribution import attributions
from seal_agent.outer_loop.tuning.clades import clade_outcomes
from seal_agent.outer_loop.tuning.confirm import Confirmation
from seal_agent.outer_loop.tuning.evidence import shown
from seal_agent.outer_loop.tuning.front import Point, front_of, points_of
from seal_agent.outer_loop.tuning.mutations import KINDS

MARKDOWN, HTML = "report.md", "report.html"
MISSING = "—"
KIND_NAMES = {"proposed": "proposed by the model", "stepped": "random step", "crossed": "crossover", "named": "named"}
SecondsOf = Callable[[str], float | None]
"""Seconds per passage of a candidate."""


def write_report(
    folder: Path,
    archive: Archive,
    confirmation: Confirmation,
    seconds: SecondsOf,
    manifest: Mapping[str, Any],
    config: TuneConfig,
    judged: int = 1,
) -> tuple[Path, Path]:
    """Write report.md and report.html; returns their paths."""
    document = report(archive, confirmation, seconds, manifest, config, judged)
    paths = folder / MARKDOWN, folder / HTML
    for path, text in zip(paths, (markdown(document), page(document)), strict=True):
        path.write_text(text, encoding="utf-8")
    return paths


def report(
    archive: Archive,
    confirmation: Confirmation,
    seconds: SecondsOf,
    manifest: Mapping[str, Any],
    config: TuneConfig,
    judged: int = 1,
) -> Document:
    """The document. Intervals are Student's 95 % intervals over passages, or over children where it says so.

    Args:
        judged: How many winners the confirming passages have judged in this run's folder.
    """
    sections = (
        Section("Result", tuple(_result(confirmation, seconds, config, judged))),
        Section("Front", tuple(_front(archive, seconds, config))),
        Section("Lineage", (Paragraph(_LINEAGE), Listing(tree(archive)))),
        Section("Which settings mattered", (Paragraph(_ATTRIBUTION), _attributions(archive))),
        Section("Mutations", (_mutations(archive),)),
        Section("All candidates", (_candidates(archive, seconds),)),
        Section("Settings", (_settings(manifest.get("config", {})),)),
        Section("Machine and versions", (_settings({k: v for k, v in manifest.items() if k != "config"}),)),
    )
    return Document("A recipe that fits the model", sections)


_LINEAGE = (
    "Each recipe below the one that it changes: its accuracy on the selecting passages with its interval, on how many, "
    "and what its clade (it and all its descendants) won and lost."
)
_ATTRIBUTION = (
    "For each setting, the mean difference in accuracy of the children that changed it from their parents, on the "
    "passages that both learnt, with an interval over children. A child that changed several settings counts for each "
    "of them, so this says where to look, not what caused what."
)


# ---------------------------------------------------------------- the result


def _result(confirmation: Confirmation, seconds: SecondsOf, config: TuneConfig, judged: int) -> Iterable[Block]:
    yield Paragraph(confirmation.verdict())
    if confirmation.winner.id == confirmation.default.id:
        return
    role = "the winner" if confirmation.leads else "the best other"
    differences = {comparison.over.id: shown(comparison.difference) for comparison in confirmation.comparisons}
    yield Table(
        ("recipe", "accuracy", "passages", f"difference of {role} from it", "harm", "seconds per passage"),
        tuple(
            (
                f"{candidate.label} ({role})" if candidate.id == confirmation.winner.id else candidate.label,
                *_accuracy(confirmation.archive, candidate),
                differences.get(candidate.id, MISSING),
                _percent(confirmation.archive.harm(candidate.id)),
                _seconds(seconds(candidate.id)),
            )
            for candidate in confirmation.archive
        ),
    )
    yield Paragraph(
        "Accuracy is the share of the questions about a passage that are answered without seeing it, on passages that "
        "selected nothing. Harm is by how much texts about other things became more perplexing. Seconds are of writing "
        "and training, over all passages of the run; adapters that trained in one bank share its seconds by the tokens "
        "that they trained on. Where fewer than five values were measured, no interval is shown."
    )
    passages = len(confirmation.archive.scores(confirmation.winner.id))
    if passages < config.confirming:
        if not confirmation.leads:
            yield Paragraph("While the default led, the search had most of the time that is kept for confirming.")
        yield Paragraph(
            f"The budget had room for {passages} of {config.confirming} confirming passages for each recipe; paper is "
            "left out before they are too few. A larger budget on the same folder goes on from here."
        )
    if judged > 1:
        yield Paragraph(
            f"The confirming passages have judged {judged} winners in this folder, as it was given larger budgets. The "
            "best of several is good by luck more often than its interval says."
        )


# ---------------------------------------------------------------- the front


def front(archive: Archive, seconds: SecondsOf, config: TuneConfig) -> list[Point]:
    """The candidates that no other beats, among those that went beyond the first stage."""
    return front_of(points_of(archive, seconds), config.stages[min(1, len(config.stages) - 1)])


def _front(archive: Archive, seconds: SecondsOf, config: TuneConfig) -> Iterable[Block]:
    points, first = points_of(archive, seconds), front(archive, seconds, config)
    numbers = {point.name: str(number) for number, point in enumerate(first, 1)}
    if points:
        dots = tuple(_dot(archive[point.name], point, numbers.get(point.name)) for point in points)
        yield Scatter("Accuracy against seconds; the front is joined", "seconds per passage", "accuracy", dots)
    yield Table(
        ("no.", "recipe", "accuracy", "passages", "seconds per passage", "harm"),
        tuple(
            (
                numbers[point.name],
                archive[point.name].label,
                *_accuracy(archive, archive[point.name]),
                _seconds(point.seconds),
                _percent(point.harm),
            )
            for point in first
        ),
    )
    yield Paragraph(
        "No other recipe beats these in accuracy, seconds and harm at once, on the selecting passages. Those that "
        "were measured on the first stage's passages alone are drawn, but not compared. Each has its file in recipes/, "
        "which --recipe takes."
    )


def _dot(candidate: Candidate, point: Point, number: str | None) -> Dot:
    label = (
        f"{candidate.label}: {point.accuracy:.2f} on {point.passages}, {point.seconds:.1f} s, harm {point.harm:+.1%}"
    )
    return Dot(point.seconds, point.accuracy, number or candidate.name, label, number is not None)


# ---------------------------------------------------------------- lineage


def tree(archive: Archive) -> str:
    """The archive as text: each child below its first parent."""
    outcomes = clade_outcomes(archive.nodes())
    lines: list[str] = []

    def branch(candidate: Candidate, indent: str, mark: str, below: str) -> None:
        lines.append(f"{indent}{mark}{_described(archive, candidate, outcomes[candidate.id])}")
        children = archive.children(candidate.id)
        for i, child in enumerate(children, 1):
            last = i == len(children)
            branch(child, indent + below, "└─ " if last else "├─ ", "   " if last else "│  ")

    for root in (candidate for candidate in archive if candidate.parent is None):
        branch(root, "", "", "")
    return "\n".join(lines)


def _described(archive: Archive, candidate: Candidate, outcome: tuple[float, float]) -> str:
    accuracy = archive.accuracy(candidate.id)
    measured = f"{shown(accuracy, '.2f')} on {accuracy.count}" if accuracy else "?"
    changes = f" · {', '.join(map(str, candidate.changes))}" if candidate.changes else ""
    left = " · left" if archive.left(candidate.id) else ""
    partner = f" with {archive[candidate.parents[1]].label}" if len(candidate.parents) > 1 else ""
    return (
        f"{candidate.label} ({KIND_NAMES[candidate.kind]}{partner}) {measured}, clade {outcome[0]:.1f} : "
        f"{outcome[1]:.1f}{changes}{left}"
    )


# ---------------------------------------------------------------- tables


def _attributions(archive: Archive) -> Table:
    return Table(
        ("setting", "mean gain of its children", "children", "of them changed nothing else"),
        tuple((a.setting, shown(a.gain), str(a.gain.count), str(a.alone)) for a in attributions(archive)),
    )


def _mutations(archive: Archive) -> Table:
    rows = []
    for kind in KINDS:
        better, others = success_of(archive, kind)
        failed = archive.failed_mutations[kind]
        rows.append((KIND_NAMES[kind], str(better + others - failed), str(better), str(failed)))
    return Table(("mutation", "children", "better than their parent", "gave nothing new"), tuple(rows))


def _candidates(archive: Archive, seconds: SecondsOf) -> Table:
    return Table(
        ("recipe", "step", "parents", "changes", "accuracy", "passages", "harm", "seconds", "tokens", "left"),
        tuple(_row(archive, candidate, seconds) for candidate in archive),
    )


def _row(archive: Archive, candidate: Candidate, seconds: SecondsOf) -> tuple[str, ...]:
    tokens = archive.tokens(candidate.id)
    return (
        candidate.label,
        str(candidate.step),
        ", ".join(archive[parent].label for parent in candidate.parents) or MISSING,
        "; ".join(map(str, candidate.changes)) or MISSING,
        *_accuracy(archive, candidate),
        _percent(archive.harm(candidate.id)),
        _seconds(seconds(candidate.id)),
        MISSING if tokens is None else f"{tokens:.0f}",
        archive.left(candidate.id) or MISSING,
    )


def _accuracy(archive: Archive, candidate: Candidate) -> Sequence[str]:
    """Two cells: the mean with its interval, and the number of passages."""
    accuracy = archive.accuracy(candidate.id)
    if accuracy is None:
        return MISSING, "0"
    return shown(accuracy, ".3f"), str(accuracy.count)


def _settings(values: Mapping[str, Any]) -> Table:
    return Table(("name", "value"), tuple((name, str(value)) for name, value in flat(values)))


def _percent(value: float | None) -> str:
    return MISSING if value is None else f"{value:+.1%}"


def _seconds(value: float | None) -> str:
    return MISSING if value is None else f"{value:.1f}"
