"""The leaderboard as Markdown tables, for a README."""

from __future__ import annotations

from collections.abc import Sequence

from seal_agent.evaluation.leaderboard.cells import Table, table_of
from seal_agent.evaluation.ranking import Entry, rankings
from seal_agent.evaluation.suites import SUITES

LEFT_OUT = ("Hardware", "Date", "Versions")


def markdown(entries: Sequence[Entry]) -> str:
    """One table per ranking."""
    links = {entry.results.id: "" for entry in entries}
    parts = []
    for ranking in rankings(entries):
        title = (
            f"**{SUITES[ranking.suite].title}**, {ranking.units} units of {ranking.data_name}, grader {ranking.grader}"
        )
        parts.append(f"{title}:\n\n{_table(table_of(ranking, links, entries))}\n")
    return "\n".join(parts)


def _table(table: Table) -> str:
    kept = [i for i, column in enumerate(table.columns) if column.name not in LEFT_OUT]
    head = "| " + " | ".join(table.columns[i].name for i in kept) + " |"
    rule = "|" + "|".join("---:" if table.columns[i].numeric else "---" for i in kept) + "|"
    rows = ["| " + " | ".join(line.cells[i].text.replace("|", "\\|") for i in kept) + " |" for line in table.lines]
    return "\n".join([head, rule, *rows])
