"""What a run came to, as a document made from its rounds, its manifest and its clock, and where that is written."""

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
    Chart,
    Document,
    Exhibit,
    Line,
    Paragraph,
    Section,
    SideBySide,
    Table,
)
from seal_agent.outer_loop.report.html import page
from seal_agent.outer_loop.report.interval import Estimate, estimate
from seal_agent.outer_loop.report.markdown import markdown
from seal_agent.outer_loop.report.pictures import write_pictures
from seal_agent.outer_loop.rounds import ContextResult, RoundResult
from seal_agent.outer_loop.selection import Scored, mean_gain

MARKDOWN, HTML = "report.md", "report.html"
NONE = "—"
Seconds = Mapping[tuple[int, str], float]
Counts = Mapping[tuple[int, str], int]
Sections = Sequence[Section]


def write_report(
    folder: Path,
    results: Sequence[RoundResult],
    manifest: Mapping[str, Any],
    seconds: Seconds,
    counts: Counts,
    pictures: Sections = (),
) -> tuple[Path, Path]:
    """Write report.md, report.html and pictures into a run's folder; returns the paths of the first two."""
    document = report(results, manifest, seconds, counts, pictures)
    write_pictures(folder, document)
    written = folder / MARKDOWN, folder / HTML
    for path, text in zip(written, (markdown(document), page(document)), strict=True):
        path.write_text(text, encoding="utf-8")
    return written


def report(
    results: Sequence[RoundResult],
    manifest: Mapping[str, Any],
    seconds: Seconds,
    counts: Counts,
    pictures: Sections = (),
) -> Document:
    """The document. Intervals are 95 % bootstrap intervals over contexts, by a fixed seed."""
    sections = [
        Section("Reward by round", (Paragraph(_meaning(manifest)), *_rewards(results))),
        Section("By format", tuple(_formats(results))),
        Section("Winners and losers", tuple(_comparisons(results))),
        *pictures,
        Section("Rejected self-edits and failed outcomes", tuple(_losses_of_data(results))),
        Section("Policy", (_policies(results),)),
        Section("Time by stage", (_times(seconds, counts),)),
        Section("Settings", (_settings(manifest.get("config", {})),)),
        Section("Machine and versions", (_settings({k: v for k, v in manifest.items() if k != "config"}),)),
    ]
    return Document("Learning to write self-edits", tuple(sections))


# ---------------------------------------------------------------- rewards


def _meaning(manifest: Mapping[str, Any]) -> str:
    match manifest.get("config", {}).get("reward", {}).get("name", "questions"):
        case "rubric":
            return "The reward of a self-edit is the mean of what a judge gives its text by a rubric, 0 to 1."
        case "votes":
            reward = "how far an adapter trained on it agrees with itself about its own questions"
        case _:
            reward = "the accuracy of an adapter trained on it, on the half of the context's questions that selects"
    return (
        f"The reward of a self-edit is {reward}, less the same of the base model, mean over seeds. The reporting half "
        "of each context's questions selects nothing: there the gain in accuracy is shown, and the kept are not "
        "flattered by having been chosen."
    )


def _rewards(results: Sequence[RoundResult]) -> Iterable[Block]:
    lines = (
        Line("all, selecting half", tuple(estimate(_by_context(r, "mean")) for r in results)),
        Line("all, reporting half", tuple(estimate(_by_context(r, "reporting_mean")) for r in results)),
        Line("kept, reporting half", tuple(estimate(_kept(r)) for r in results)),
        Line("context alone, selecting", tuple(estimate(_alone(r, False)) for r in results)),
        Line("context alone, reporting", tuple(estimate(_alone(r, True)) for r in results)),
    )
    measured = tuple(line for line in lines if any(line.points))
    yield Chart("Mean reward by round, with 95 % intervals over contexts", _places(results), measured)
    headings = ("round", *(line.name for line in measured), "advantage of the kept over the mean", "kept")
    yield Table(
        headings,
        tuple(
            (
                str(result.round + 1),
                *(_shown(line.points[i]) for line in measured),
                _number(result.advantage),
                f"{sum(len(c.kept) for c in result.contexts)} of {sum(len(c.scored) for c in result.contexts)}",
            )
            for i, result in enumerate(results)
        ),
    )
    yield from _changes(results)


def _changes(results: Sequence[RoundResult]) -> Iterable[Block]:
    """Every later round against the first, paired by context, where all looked at the same ones."""
    titles = {tuple(context.title for context in result.contexts) for result in results}
    if len(results) < 2 or len(titles) > 1:
        return
    for half, name in (("mean", "selecting"), ("reporting_mean", "reporting")):
        first = [_context_mean(context, half) for context in results[0].contexts]
        for result in results[1:]:
            now = [_context_mean(context, half) for context in result.contexts]
            change = estimate([b - a for a, b in zip(first, now, strict=True) if a is not None and b is not None])
            if change:
                yield Paragraph(
                    f"Round {result.round + 1} against round {results[0].round + 1}, {name} half, paired by context: "
                    f"{change}, {change.count} contexts."
                )


def _by_context(result: RoundResult, half: str) -> list[float]:
    means = (_context_mean(context, half) for context in result.contexts)
    return [mean for mean in means if mean is not None]


def _context_mean(context: ContextResult, half: str) -> float | None:
    return _mean(getattr(one, half) for one in context.scored)


def _kept(result: RoundResult) -> list[float]:
    means = (_mean(one.reporting_mean for one in context.winners) for context in result.contexts)
    return [mean for mean in means if mean is not None]


def _alone(result: RoundResult, reporting: bool) -> list[float]:
    means = (mean_gain(c.alone_reporting if reporting else c.alone) for c in result.contexts)
    return [mean for mean in means if mean is not None]


# ---------------------------------------------------------------- formats


def _formats(results: Sequence[RoundResult]) -> Iterable[Block]:
    names = sorted({one.edit.format for result in results for one in result.every()})
    if len(names) > 1:
        lines = tuple(
            Line(name, tuple(estimate(_of_format(r, name, "reporting_mean")) for r in results)) for name in names
        )
        yield Chart("Mean reward by format, reporting half", _places(results), lines)
    yield Table(
        ("round", "format", "selecting half", "reporting half", "written", "kept", "rejected"),
        tuple(_format_row(result, name) for result in results for name in names),
    )


def _of_format(result: RoundResult, name: str, half: str) -> list[float]:
    means = (
        _mean(getattr(one, half) for one in context.scored if one.edit.format == name) for context in result.contexts
    )
    return [mean for mean in means if mean is not None]


def _format_row(result: RoundResult, name: str) -> tuple[str, ...]:
    mine = [one for one in result.every() if one.edit.format == name]
    kept = sum(one.edit.format == name for context in result.contexts for one in context.winners)
    halves = (_shown(estimate(_of_format(result, name, half))) for half in ("mean", "reporting_mean"))
    rejected = sum(bool(one.rejected) for one in mine)
    return str(result.round + 1), name, *halves, str(len(mine)), str(kept), str(rejected)


# ---------------------------------------------------------------- texts


def _comparisons(results: Sequence[RoundResult]) -> Iterable[Block]:
    """The last round first: the best self-edit of each context and the worst."""
    for result in reversed(results):
        for context in result.contexts:
            ranked = sorted((one for one in context.scored if one.mean is not None), key=lambda one: -(one.mean or 0))
            best = [*context.winners, *(one for one in ranked if one not in context.winners)][:1]
            worst = [one for one in ranked if one not in best][-1:]
            if best:
                exhibits = tuple(_exhibit(one, one in context.winners) for one in (*best, *worst))
                yield SideBySide(f"Round {result.round + 1} · {context.title or 'untitled'}", exhibits)


def _exhibit(one: Scored, kept: bool) -> Exhibit:
    fate = "kept" if kept else f"rejected: {one.rejected}" if one.rejected else "not kept"
    rewards = ", ".join(_number(o.reward.gain if o.reward else None) for o in one.outcomes)
    caption = (
        f"{fate} · {one.edit.format} · reward {_number(one.mean)} (by seed: {rewards}) · "
        f"reporting half {_number(one.reporting_mean)}"
    )
    return Exhibit(caption, one.edit.completion.strip(), kept)


def _losses_of_data(results: Sequence[RoundResult]) -> Iterable[Block]:
    yield Table(
        ("round", "self-edits", "rejected", "share", "outcomes", "failed", "share"),
        tuple(_loss_row(result) for result in results),
    )
    reasons = Counter(_kind(one.rejected) for result in results for one in result.every() if one.rejected)
    failures = Counter(
        f"{outcome.failed_stage}: {outcome.reason}"
        for result in results
        for one in result.every()
        for outcome in one.outcomes
        if outcome.reward is None
    )
    rows = [(f"rejected, {reason}", str(n)) for reason, n in reasons.most_common()]
    rows += [(f"failed in {reason}", str(n)) for reason, n in failures.most_common(20)]
    if rows:
        yield Table(("why", "how often"), tuple(rows))


def _loss_row(result: RoundResult) -> tuple[str, ...]:
    edits = list(result.every())
    outcomes = sum(len(one.outcomes) for one in edits)
    return (
        str(result.round + 1),
        *(str(len(edits)), str(result.rejected), _share(result.rejected, len(edits))),
        *(str(outcomes), str(result.failed), _share(result.failed, outcomes)),
    )


def _kind(reason: str) -> str:
    """A reason without what it quotes, so that the same ones can be counted."""
    return re.sub(r"“.*?”", "“…”", reason, flags=re.DOTALL)


# ---------------------------------------------------------------- the run itself


def _policies(results: Sequence[RoundResult]) -> Table:
    return Table(
        ("round", "written by", "learnt into", "loss by epoch"),
        tuple(
            (
                str(result.round + 1),
                _policy(result.policy),
                NONE if result.next_policy is None else _policy(result.next_policy),
                " → ".join(f"{loss:.3f}" for loss in result.losses) or NONE,
            )
            for result in results
        ),
    )


def _policy(name: str) -> str:
    return name[:12] or "the base model"


def _times(seconds: Seconds, counts: Counts) -> Table:
    """Seconds of the workers, added up: with several at work, less time passed."""
    rows = tuple(
        (str(round_ + 1), stage, str(counts.get((round_, stage), 0)), f"{spent:.1f}")
        for (round_, stage), spent in sorted(seconds.items())
        if spent
    )
    total = ("all", "", str(sum(int(row[2]) for row in rows)), f"{sum(seconds.values()):.1f}")
    return Table(("round", "stage", "pieces", "seconds of work"), (*rows, total))


def _settings(values: Mapping[str, Any]) -> Table:
    return Table(("name", "value"), tuple((name, str(value)) for name, value in flat(values)))


def _places(results: Sequence[RoundResult]) -> tuple[str, ...]:
    return tuple(f"round {result.round + 1}" for result in results)


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _shown(value: Estimate | None) -> str:
    return str(value) if value else NONE


def _number(value: float | None) -> str:
    return NONE if value is None else f"{value:+.3f}"


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else NONE
