"""Rows from the literature, which are quoted and never ranked."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib import resources


@dataclass(frozen=True, slots=True)
class Quoted:
    """A figure of a publication, in per cent."""

    suite: str
    model: str
    method: str
    value: float
    source: str
    url: str


def quoted_rows(suite: str) -> list[Quoted]:
    """The rows quoted for a suite, best first."""
    text = (resources.files(__package__) / "quoted.toml").read_text(encoding="utf-8")
    tables = tomllib.loads(text)
    rows = [
        Quoted(row["suite"], row["model"], row["method"], row["value"], tables[row["of"]]["source"], tables[row["of"]]["url"])
        for row in tables["row"]
        if row["suite"] == suite
    ]  # fmt: skip
    return sorted(rows, key=lambda row: -row.value)
