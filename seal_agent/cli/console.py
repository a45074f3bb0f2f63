"""Terminal output that commands share: progress bars, tables of answers and of revisions."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from statistics import fmean
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from seal_agent.store.ledger import Ledger
from seal_agent.types import Answer, Revision, SelfEdit, Stage, Verdict

if TYPE_CHECKING:
    from seal_agent.adaptation.compare import Change


class Screen(Console):
    """Shows what models and users write as it is: no colours, no emoji for ":ab:", and no line is broken in a pipe."""

    def __init__(self, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, highlight=False, emoji=False)

    def print(self, *objects: Any, soft_wrap: bool | None = None, **how: Any) -> None:
        """As Console.print; a text that goes to a file or another program keeps its lines, however long."""
        if soft_wrap is None and not self.is_terminal and all(isinstance(shown, str | Text) for shown in objects):
            soft_wrap = True
        super().print(*objects, soft_wrap=soft_wrap, **how)


out = Screen()
err = Screen(stderr=True)

INTERRUPTED = 130
"""The exit code after Ctrl-C, as shells have it."""
_TICKS = {Verdict.CORRECT: ("✓", "green"), Verdict.WRONG: ("✗", "red"), Verdict.UNGRADED: ("?", "yellow")}


class StageBars:
    """One bar per stage, added when the stage begins. Implements StageProgress."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, stage: str, done: int, total: int) -> None:
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(stage, total=None)
        if total > 1 or done:
            self._bars.update(self._tasks[stage], completed=done, total=total)

    def pausing(self, ask: Callable[[Revision], bool]) -> Callable[[Revision], bool]:
        """The same question with the bars out of the way: they would be drawn over it, and over what is typed."""

        def asked(candidate: Revision) -> bool:
            self._bars.stop()
            try:
                return ask(candidate)
            finally:
                self._bars.start()

        return asked


@contextmanager
def stage_bars(quiet: bool = False) -> Iterator[StageBars]:
    """Live bars on standard error; none where `quiet` or not in a terminal."""
    bars = Progress(
        TextColumn("{task.description:<18}", markup=False),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),  # knows bars whose length is not known yet
        TimeElapsedColumn(),
        console=err,
        disable=quiet or not err.is_terminal,
    )
    with bars:
        yield StageBars(bars)


class RoundBars:
    """One bar per stage of every round, with rate, time left and rewards so far. Implements RoundProgress."""

    def __init__(self, bars: Progress, rounds: int, work: Callable[[str, int], float]) -> None:
        """`work(stage, done)` is the cost of the first `done` units of a stage, since some take longer than others."""
        self._bars, self._rounds, self._work = bars, rounds, work
        self._tasks: dict[tuple[int, str], TaskID] = {}
        self._started: dict[tuple[int, str], tuple[float, int]] = {}

    def __call__(self, round_: int, stage: str, done: int, total: int, rewards: Sequence[float] = ()) -> None:
        key = round_, stage
        if key not in self._tasks:
            name = f"round {round_ + 1}/{self._rounds} · {stage}"
            self._tasks[key] = self._bars.add_task(name, total=total, pace="", rewards="")
            self._started[key] = time.monotonic(), done
        best = f"best {max(rewards):+.2f} mean {fmean(rewards):+.2f}" if rewards else ""
        self._bars.update(
            self._tasks[key], completed=done, total=total, pace=self._pace(key, done, total), rewards=best
        )

    def _pace(self, key: tuple[int, str], done: int, total: int) -> str:
        """Rate and time left, measured since the stage was first seen here: units resumed from disk took no time."""
        started, before = self._started[key]
        seconds, stage = time.monotonic() - started, key[1]
        worked = self._work(stage, done) - self._work(stage, before)
        if done <= before or not worked or not seconds:
            return ""
        left = (self._work(stage, total) - self._work(stage, done)) * seconds / worked
        rate = f"{60 * (done - before) / seconds:.1f}/min"
        return f"{rate}, {duration(left)} left" if left else rate


@contextmanager
def round_bars(rounds: int, work: Callable[[str, int], float], quiet: bool = False) -> Iterator[RoundBars]:
    """Live bars of the outer loop on standard error; none where `quiet` or not in a terminal."""
    bars = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        TextColumn("{task.completed:.0f}/{task.total:.0f}", justify="right"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[pace]}"),
        TextColumn("{task.fields[rewards]}", style="green"),
        console=err,
        expand=True,
        disable=quiet or not err.is_terminal,
    )
    with bars:
        yield RoundBars(bars, rounds, work)


def duration(seconds: float) -> str:
    """Seconds as "12 s", "3 min" or "2 h 05 min"."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02} min"


@contextmanager
def interruptible(ledger: Ledger, adapters: Sequence[str]) -> Iterator[None]:
    """A block after whose Ctrl-C a sentence says what became of each adapter; the exit code is 130."""
    before = {adapter: ledger.active(adapter) for adapter in adapters}
    try:
        yield
    except KeyboardInterrupt:
        for adapter in adapters:
            now = ledger.active(adapter)
            told = f"at {now or 'the base model'}"
            told = f"as it was, {told}" if now == before[adapter] else f"{told} now"
            err.print(f"seal: interrupted; adapter {adapter!r} is {told}", style="yellow", markup=False, soft_wrap=True)
        raise SystemExit(INTERRUPTED) from None


@contextmanager
def waiting(message: str, quiet: bool = False) -> Iterator[None]:
    """A spinner on standard error; none where `quiet` or not in a terminal."""
    if quiet or not err.is_terminal:
        yield
        return
    with err.status(message):
        yield


def answers_table(
    before: Sequence[Answer], after: Sequence[Answer], headings: tuple[str, str] = ("before", "after")
) -> Table:
    """A row per question: its text, its gold answer, and the answers before and after with their verdicts."""
    roundabout = any(answer.direct is Verdict.WRONG is not answer.verdict for answer in (*before, *after))
    table = Table(
        show_lines=True, caption="≈ right, but does not single out what was asked for" if roundabout else None
    )
    for heading, ratio in (("question", 5), ("gold", 3), (headings[0], 6), (headings[1], 6)):
        table.add_column(heading, ratio=ratio, overflow="fold")
    for old, new in zip(before, after, strict=True):
        gold = old.question.golds[0] if old.question.golds else "—"
        table.add_row(Text(old.question.text), Text(gold), _ticked(old), _ticked(new))
    return table


def changes_table(changes: Sequence[Change], headings: tuple[str, str]) -> Table:
    """A row per question that two revisions answer differently: what became of it, its title, and both answers."""
    table = Table(show_lines=True)
    for heading, ratio in (("", 2), ("question", 5), ("gold", 3), (headings[0], 6), (headings[1], 6)):
        table.add_column(heading, ratio=ratio, overflow="fold")
    for change in changes:
        question = change.left.question
        asked = f"{change.title}: {question.text}" if change.title else question.text
        gold = question.golds[0] if question.golds else "—"
        table.add_row(change.kind, Text(asked), Text(gold), _ticked(change.left), _ticked(change.right))
    return table


def notes_lines(edit: SelfEdit) -> list[str]:
    """The kept notes of a self-edit, one line each; the raw completion where the notes were not checked."""
    if edit.checked is None:
        return [" ".join(edit.completion.split())]
    notes = [checked.note for checked in edit.checked if checked.kept]
    return [note.text if note.answer is None else f"{note.text} {note.answer}" for note in notes]


def stages_line(stages: Sequence[Stage]) -> str:
    """Stages as "train 12.3 s · ask after 4.5 s"."""
    return " · ".join(f"{stage.name} {stage.seconds:.1f} s" for stage in stages)


def revision_json(revision: Revision) -> dict[str, Any]:
    """A revision as the ledger stores it, with its total seconds."""
    from seal_agent.store.entries import to_json

    return {**json.loads(to_json(revision)), "seconds": round(revision.seconds, 2)}


def history_table(revisions: Sequence[Revision], active: str | None) -> Table:
    """All revisions of an adapter, readable in 80 columns: ● active, ✗ rejected, ? quarantined, – revoked."""
    table = Table(show_lines=True)
    table.add_column("")
    table.add_column("revision", no_wrap=True)
    table.add_column("context and result", overflow="fold")
    for revision in revisions:
        state = {"active": " ", "quarantined": "?", "revoked": "–"}.get(revision.status, "✗")
        mark = "●" if revision.id == active else state
        created = revision.created[:16].replace("T", " ")
        made = f"{revision.id}\nafter {revision.parent or 'base'}\n{created} UTC"
        title = revision.context.title or _short(revision.context.text, 40)
        table.add_row(mark, Text(made), Text.assemble((title, "bold"), "\n", revision.reason))
    return table


def _ticked(answer: Answer) -> Text:
    mark, colour = _TICKS[answer.verdict]
    if answer.verdict is Verdict.CORRECT and answer.direct is Verdict.WRONG:
        mark, colour = "≈", "yellow"
    return Text.assemble((mark, colour), " ", _excerpt(answer.text, answer.question.golds, 72))


def _excerpt(text: str, golds: Sequence[str], width: int) -> str:
    """Up to `width` characters: the beginning of the text, or the part around a gold answer further back."""
    flat = " ".join(text.split())
    spans = [(i, i + len(gold)) for gold in golds if (i := flat.casefold().find(gold.casefold())) >= 0]
    first, end = min(spans, default=(0, 0))
    if end < width:
        return _short(flat, width)
    start = flat.find(" ", max(0, first - width // 2)) + 1
    return _short("… " + flat[start:], width)


def _short(text: str, width: int) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= width else flat[: width - 1].rstrip() + "…"
