"""What the terminal shows: progress bars, tables of answers, one-line errors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from seal_agent.types import Answer, Revision, SelfEdit, Stage, Verdict

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

_TICKS = {Verdict.CORRECT: ("✓", "green"), Verdict.WRONG: ("✗", "red"), Verdict.UNGRADED: ("?", "yellow")}


class StageBars:
    """One bar per stage, added when the stage begins; implements the model's Progress."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, stage: str, done: int, total: int) -> None:
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(stage, total=None)
        if total > 1 or done:
            self._bars.update(self._tasks[stage], completed=done, total=total)


@contextmanager
def stage_bars(quiet: bool = False) -> Iterator[StageBars]:
    """Live bars on standard error; plain silence where `quiet` or where nobody watches."""
    bars = Progress(
        TextColumn("{task.description:<18}"),
        BarColumn(bar_width=30),
        TextColumn("{task.completed:>4.0f}/{task.total:.0f}", justify="right"),
        TimeElapsedColumn(),
        console=err,
        disable=quiet or not err.is_terminal,
    )
    with bars:
        yield StageBars(bars)


@contextmanager
def waiting(message: str, quiet: bool = False) -> Iterator[None]:
    """A spinner for one step without known length."""
    if quiet or not err.is_terminal:
        yield
        return
    with err.status(message):
        yield


def answers_table(before: Sequence[Answer], after: Sequence[Answer]) -> Table:
    """Question, gold, and both answers with ticks."""
    table = Table(show_lines=True)
    for heading, ratio in (("question", 5), ("gold", 3), ("before", 6), ("after", 6)):
        table.add_column(heading, ratio=ratio, overflow="fold")
    for old, new in zip(before, after, strict=True):
        gold = old.question.golds[0] if old.question.golds else "—"
        table.add_row(old.question.text, gold, _ticked(old), _ticked(new))
    return table


def notes_lines(edit: SelfEdit) -> list[str]:
    """The usable notes of a self-edit, a line each; the raw text where nothing was checked."""
    if edit.checked is None:
        return [" ".join(edit.completion.split())]
    notes = [checked.note for checked in edit.checked if checked.kept]
    return [note.text if note.answer is None else f"{note.text} {note.answer}" for note in notes]


def stages_line(stages: Sequence[Stage]) -> str:
    """ "train 12.3 s · ask after 4.5 s" """
    return " · ".join(f"{stage.name} {stage.seconds:.1f} s" for stage in stages)


def revision_row(revision: Revision, active: str | None) -> tuple[str, ...]:
    """Cells of one line of `seal history`."""
    mark = "●" if revision.id == active else " " if revision.accepted else "✗"
    title = revision.context.title or _short(revision.context.text, 40)
    return mark, revision.id, revision.parent or "base", revision.created[:19].replace("T", " "), title, revision.reason


def history_table(revisions: Sequence[Revision], active: str | None) -> Table:
    """All revisions of an adapter; ● marks the active one, ✗ one that was taken back."""
    table = Table()
    for heading in ("", "revision", "parent", "created (UTC)", "context", "result"):
        table.add_column(heading, overflow="fold")
    for revision in revisions:
        table.add_row(*revision_row(revision, active))
    return table


def _ticked(answer: Answer) -> Text:
    mark, colour = _TICKS[answer.verdict]
    return Text.assemble((mark, colour), " ", _excerpt(answer.text, answer.question.golds, 72))


def _excerpt(text: str, golds: Sequence[str], width: int) -> str:
    """The beginning, or where that does not show a gold answer which the text holds, the part around it."""
    flat = " ".join(text.split())
    spans = [(at, at + len(gold)) for gold in golds if (at := flat.casefold().find(gold.casefold())) >= 0]
    first, end = min(spans, default=(0, 0))
    if end < width:
        return _short(flat, width)
    start = flat.find(" ", max(0, first - width // 2)) + 1
    return _short("… " + flat[start:], width)


def _short(text: str, width: int) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= width else flat[: width - 1].rstrip() + "…"
