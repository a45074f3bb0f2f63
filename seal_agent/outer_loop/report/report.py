"""A run's report: a document built from its rounds, manifest and stage times, written as Markdown and HTML."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from seal_agent.outer_loop.archive.facts import flat
from seal_agent.outer_loop.report.blocks import (
    Block,
    CaptionedText,
    Chart,
    Comparison,
    Document,
    Line,
    Paragraph,
    Section,
    Table,
)
from seal_agent.outer_loop.report.html import page
from seal_agent.outer_loop.report.interval import Estimate, estimate
from seal_agent.outer_loop.report.markdown import markdown
from seal_agent.outer_loop.report.pictures import write_pictures
from seal_agent.outer_loop.rounds import ContextResult, RoundResult
from seal_agent.outer_loop.selection import ScoredEdit, mean_gain
from seal_agent.self_edits.diversity import note_figures
from seal_agent.self_edits.parsing import notes_of
from seal_agent.types import Note

MARKDOWN, HTML = "report.md", "report.html"
MISSING = "—"
Seconds = Mapping[tuple[int, str], float]
"""Worker seconds by (round, stage)."""
Counts = Mapping[tuple[int, str], int]
"""Finished pieces of work by (round, stage)."""


def write_report(
    folder: Path,
    results: Sequence[RoundResult],
    manifest: Mapping[str, Any],
    seconds: Seconds,
    counts: Counts,
    pictures: Sequence[Section] = (),
) -> tuple[Path, Path]:
    """Write report.md, report.html and the pictures. Returns the paths of the first two.

    Args:
        folder: the run's folder.
        results: the rounds, in order.
        manifest: the run's settings, under "config", and facts about its machine.
        seconds: worker seconds by (round, stage).
        counts: finished pieces of work by (round, stage).
        pictures: sections that go below the comparisons.
    """
    document = report(results, manifest, seconds, counts, pictures)
    write_pictures(folder, document)
    paths = folder / MARKDOWN, folder / HTML
    for path, text in zip(paths, (markdown(document), page(document)), strict=True):
        path.write_text(text, encoding="utf-8")
    return paths


def report(
    results: Sequence[RoundResult],
    manifest: Mapping[str, Any],
    seconds: Seconds,
    counts: Counts,
    pictures: Sequence[Section] = (),
) -> Document:
    """The document; arguments as in `write_report`. Intervals are 95 % bootstrap intervals over contexts, seed 0."""
    sections = [
        Section("Reward by round", (Paragraph(_reward_definition(manifest)), *_rewards(results, manifest))),
        Section("By format", tuple(_formats(results))),
        Section("Winners and losers", tuple(_comparisons(results))),
        *pictures,
        Section("Rejected self-edits and failed outcomes", tuple(_rejections(results))),
        Section("Policy", (_policies(results),)),
        Section("Time by stage", (_times(seconds, counts),)),
        Section("Settings", (_settings(manifest.get("config", {})),)),
        Section("Machine and versions", (_settings({k: v for k, v in manifest.items() if k != "config"}),)),
    ]
    return Document("Learning to write self-edits", tuple(sections))


# ---------------------------------------------------------------- rewards


def _reward_definition(manifest: Mapping[str, Any]) -> str:
    config = manifest.get("config", {})
    domain = config.get("domain", {})
    if domain.get("domain") == "arc":
        solved = domain.get("measure", "solved") == "solved"
        reward = (
            "whether an adapter trained by it solves the task" if solved else "the share of cells that it gets right"
        )
        return f"The reward of a self-edit is {reward}, minus the same for the base model, averaged over seeds."
    match config.get("reward", {}).get("name", "questions"):
        case "rubric":
            return "The reward of a self-edit is the mean score that a judge gives its text by a rubric, 0 to 1."
        case "votes":
            reward = "how far an adapter trained on it agrees with itself about its own questions"
        case _:
            reward = "the accuracy of an adapter trained on it, on the half of the context's questions that selects"
    return (
        f"The reward of a self-edit is {reward}, minus the same for the base model, averaged over seeds. The reporting "
        "half of each context's questions selects nothing, so the gain in accuracy on it is not inflated by the "
        "selection."
    )


def _rewards(results: Sequence[RoundResult], manifest: Mapping[str, Any]) -> Iterable[Block]:
    lines: tuple[Line, ...] = (
        Line("all, selecting half", tuple(estimate(_by_context(r, "mean")) for r in results)),
        Line("all, reporting half", tuple(estimate(_by_context(r, "reporting_mean")) for r in results)),
        Line("kept, reporting half", tuple(estimate(_kept(r)) for r in results)),
        Line("context alone, selecting", tuple(estimate(_alone(r, False)) for r in results)),
        Line("context alone, reporting", tuple(estimate(_alone(r, True)) for r in results)),
    )
    lines = tuple(line for line in lines if any(line.points))
    yield Chart("Mean reward by round, with 95 % intervals over contexts", _round_labels(results), lines)
    headings = ("round", *(line.name for line in lines), "advantage of the kept over the mean", "kept")
    yield Table(
        headings,
        tuple(
            (
                str(result.round + 1),
                *(_interval(line.points[i]) for line in lines),
                _number(result.advantage),
                f"{sum(len(c.kept) for c in result.contexts)} of {sum(len(c.scored) for c in result.contexts)}",
            )
            for i, result in enumerate(results)
        ),
    )
    if not manifest.get("config", {}).get("outer_loop", {}).get("fresh_contexts"):  # else titles may repeat by chance
        yield from _changes(results)


def _changes(results: Sequence[RoundResult]) -> Iterable[Block]:
    """Each later round against the first, paired by context; nothing if the rounds had different contexts."""
    context_sets = {tuple(context.title for context in result.contexts) for result in results}
    if len(results) < 2 or len(context_sets) > 1:
        return
    for half, name in (("mean", "selecting"), ("reporting_mean", "reporting")):
        first = [_context_mean(context, half) for context in results[0].contexts]
        for result in results[1:]:
            later = [_context_mean(context, half) for context in result.contexts]
            change = estimate([b - a for a, b in zip(first, later, strict=True) if a is not None and b is not None])
            if change:
                yield Paragraph(
                    f"Round {result.round + 1} against round {results[0].round + 1}, {name} half, paired by context: "
                    f"{change}, {change.count} contexts."
                )


def _by_context(result: RoundResult, half: str) -> list[float]:
    means = (_context_mean(context, half) for context in result.contexts)
    return [mean for mean in means if mean is not None]


def _context_mean(context: ContextResult, half: str) -> float | None:
    return _mean(getattr(scored, half) for scored in context.scored)


def _kept(result: RoundResult) -> list[float]:
    means = (_mean(scored.reporting_mean for scored in context.winners) for context in result.contexts)
    return [mean for mean in means if mean is not None]


def _alone(result: RoundResult, reporting: bool) -> list[float]:
    means = (mean_gain(c.alone_reporting if reporting else c.alone) for c in result.contexts)
    return [mean for mean in means if mean is not None]


# ---------------------------------------------------------------- formats


def _formats(results: Sequence[RoundResult]) -> Iterable[Block]:
    names = sorted({scored.edit.format for result in results for scored in result.scored_edits()})
    if len(names) > 1:
        lines = tuple(
            Line(name, tuple(estimate(_of_format(r, name, "reporting_mean")) for r in results)) for name in names
        )
        yield Chart("Mean reward by format, reporting half", _round_labels(results), lines)
    yield Table(
        (
            "round",
            "format",
            "selecting half",
            "reporting half",
            "written",
            "kept",
            "rejected",
            "distinct trigrams",
            "similarity",
        ),
        tuple(_format_row(result, name) for result in results for name in names),
    )
    yield Paragraph(
        "Distinct trigrams are the share of word trigrams that differ over all notes of the round; similarity is the "
        "mean overlap of the words of two notes. A writer that collapses into one phrase has few of the former and "
        "much of the latter."
    )


def _of_format(result: RoundResult, name: str, half: str) -> list[float]:
    means = (
        _mean(getattr(scored, half) for scored in context.scored if scored.edit.format == name)
        for context in result.contexts
    )
    return [mean for mean in means if mean is not None]


def _format_row(result: RoundResult, name: str) -> tuple[str, ...]:
    edits = [scored for scored in result.scored_edits() if scored.edit.format == name]
    kept = sum(scored.edit.format == name for context in result.contexts for scored in context.winners)
    halves = (_interval(estimate(_of_format(result, name, half))) for half in ("mean", "reporting_mean"))
    rejected = sum(bool(scored.rejected) for scored in edits)
    notes = [_words(note) for scored in edits for note in notes_of([scored.edit])]  # a note told twice counts twice
    diversity = note_figures(notes, len)
    figures = (_plain(diversity.distinct), _plain(diversity.similarity))
    return str(result.round + 1), name, *halves, str(len(edits)), str(kept), str(rejected), *figures


def _words(note: Note) -> str:
    return note.text if note.answer is None else f"{note.text} {note.answer}"


def _plain(value: float | None) -> str:
    return MISSING if value is None else f"{value:.2f}"


# ---------------------------------------------------------------- texts


def _comparisons(results: Sequence[RoundResult]) -> Iterable[Block]:
    """The best and the worst self-edit of each context, the last round first."""
    for result in reversed(results):
        for context in result.contexts:
            ranked = sorted(
                (scored for scored in context.scored if scored.mean is not None), key=lambda scored: -(scored.mean or 0)
            )
            best = [*context.winners, *(scored for scored in ranked if scored not in context.winners)][:1]
            worst = [scored for scored in ranked if scored not in best][-1:]
            if best:
                texts = tuple(_captioned(scored, scored in context.winners) for scored in (*best, *worst))
                yield Comparison(f"Round {result.round + 1} · {context.title or 'untitled'}", texts)


def _captioned(scored: ScoredEdit, kept: bool) -> CaptionedText:
    decision = "kept" if kept else f"rejected: {scored.rejected}" if scored.rejected else "not kept"
    rewards = ", ".join(_number(o.reward.gain if o.reward else None) for o in scored.outcomes)
    caption = (
        f"{decision} · {scored.edit.format} · reward {_number(scored.mean)} (by seed: {rewards}) · "
        f"reporting half {_number(scored.reporting_mean)}"
    )
    return CaptionedText(caption, scored.edit.completion.strip(), kept)


def _rejections(results: Sequence[RoundResult]) -> Iterable[Block]:
    yield Table(
        ("round", "self-edits", "rejected", "share", "outcomes", "failed", "share"),
        tuple(_rejection_row(result) for result in results),
    )
    reasons = Counter(
        _without_quotes(scored.rejected) for result in results for scored in result.scored_edits() if scored.rejected
    )
    failures = Counter(
        f"{outcome.failed_stage}: {outcome.reason}"
        for result in results
        for scored in result.scored_edits()
        for outcome in scored.outcomes
        if outcome.reward is None
    )
    rows = [(f"rejected, {reason}", str(n)) for reason, n in reasons.most_common()]
    rows += [(f"failed in {reason}", str(n)) for reason, n in failures.most_common(20)]
    if rows:
        yield Table(("why", "how often"), tuple(rows))


def _rejection_row(result: RoundResult) -> tuple[str, ...]:
    edits = list(result.scored_edits())
    outcomes = sum(len(scored.outcomes) for scored in edits)
    return (
        str(result.round + 1),
        *(str(len(edits)), str(result.rejected), _share(result.rejected, len(edits))),
        *(str(outcomes), str(result.failed), _share(result.failed, outcomes)),
    )


def _without_quotes(reason: str) -> str:
    """The reason with its quotations elided, so that equal reasons are counted together."""
    return re.sub(r"“.*?”", "“…”", reason, flags=re.DOTALL)


# ---------------------------------------------------------------- the run itself


def _policies(results: Sequence[RoundResult]) -> Table:
    return Table(
        ("round", "written by", "learnt into", "loss by epoch"),
        tuple(
            (
                str(result.round + 1),
                _policy(result.policy),
                MISSING if result.next_policy is None else _policy(result.next_policy),
                " → ".join(f"{loss:.3f}" for loss in result.losses) or MISSING,
            )
            for result in results
        ),
    )


def _policy(name: str) -> str:
    return name[:12] or "the base model"


def _times(seconds: Seconds, counts: Counts) -> Table:
    """Seconds summed over workers; with several workers, less wall time passed."""
    rows = tuple(
        (str(round_ + 1), stage, str(counts.get((round_, stage), 0)), f"{spent:.1f}")
        for (round_, stage), spent in sorted(seconds.items())
        if spent
    )
    total = ("all", "", str(sum(int(row[2]) for row in rows)), f"{sum(seconds.values()):.1f}")
    return Table(("round", "stage", "pieces", "seconds of work"), (*rows, total))


def _settings(values: Mapping[str, Any]) -> Table:
    return Table(("name", "value"), tuple((name, str(value)) for name, value in flat(values)))


def _round_labels(results: Sequence[RoundResult]) -> tuple[str, ...]:
    return tuple(f"round {result.round + 1}" for result in results)


def _mean(values: Iterable[float | None]) -> float | None:
    present = [value for value in values if value is not None]
    return fmean(present) if present else None


def _interval(value: Estimate | None) -> str:
    return str(value) if value else MISSING


def _number(value: float | None) -> str:
    return MISSING if value is None else f"{value:+.3f}"


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else MISSING
