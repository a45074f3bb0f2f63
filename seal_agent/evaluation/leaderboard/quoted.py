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
    found = []
    for row in tables["row"]:
        if row["suite"] == suite:
            source = tables[row["of"]]
            found.append(Quoted(suite, row["model"], row["method"], row["value"], source["source"], source["url"]))
    return sorted(found, key=lambda row: -row.value)
