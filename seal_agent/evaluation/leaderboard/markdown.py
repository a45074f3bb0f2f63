"""The leaderboard as Markdown tables, for a README."""

from __future__ import annotations

from collections.abc import Sequence

from seal_agent.evaluation.leaderboard.cells import Column, Files, Line, Table, table_of
from seal_agent.evaluation.leaderboard.rows import standings_of
from seal_agent.evaluation.ranking import Entry
from seal_agent.evaluation.suites import SUITES

LEFT_OUT = ("Hardware", "Date", "Versions")


def markdown(entries: Sequence[Entry]) -> str:
    """One table per ranking."""
    files = {entry.results.id: Files("") for entry in entries}
    parts = []
    for board in standings_of(entries):
        ranking, suite = board.ranking, SUITES[board.ranking.suite]
        title = f"**{suite.title}**, {board.units} {suite.unit} of {ranking.data_name}, grader {ranking.grader}"
        parts.append(f"{title}:\n\n{_table(table_of(board, files, entries))}\n")
    return "\n".join(parts)


def _table(table: Table) -> str:
    kept = [i for i, column in enumerate(table.columns) if column.name not in LEFT_OUT]
    head = "| " + " | ".join(table.columns[i].name for i in kept) + " |"
    rule = "|" + "|".join("---:" if table.columns[i].numeric else "---" for i in kept) + "|"
    rows = ["| " + " | ".join(_cell(line, i, table.columns[i]) for i in kept) + " |" for line in table.lines]
    return "\n".join([head, rule, *rows])


def _cell(line: Line, place: int, column: Column) -> str:
    """A cell's text; the recipe has the row's marks."""
    text = line.cells[place].text
    if column.name == "Recipe" and line.marks:
        text += f" *({'; '.join(mark.text for mark in line.marks)})*"
    return text.replace("|", "\\|")
