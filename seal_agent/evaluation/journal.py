"""What a run has measured so far, how long it took, and on what: a log that survives being killed."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seal_agent.errors import InputError
from seal_agent.evaluation.files import write_atomically

Facts = Mapping[str, Any]
"""On what a process measures, as JSON values."""
DECISIVE = ("device", "gpu", "dtype", "engine", "processor")
"""Facts that a figure depends on: a journal has one value of each."""
LATER = ("judge",)
"""Settings that older journals do not have; such a journal goes on with those of the run."""


@dataclass(slots=True)
class _Lines:
    """A journal's lines, taken apart. `maker` is the place of a row's facts in `makers`; None for old rows."""

    settings: dict[str, Any] | None = None
    rows: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float | None] = field(default_factory=dict)
    maker: dict[str, int | None] = field(default_factory=dict)
    makers: list[dict[str, Any]] = field(default_factory=list)

    def take(self, line: dict[str, Any]) -> None:
        if "settings" in line:
            self.settings = line["settings"]
        elif "maker" in line:
            self.makers.append(line["maker"])
        else:
            rows = line.get("rows") or {line["key"]: line["value"]}
            seconds = line["seconds"] / len(rows) if "seconds" in line else None
            for key, value in rows.items():
                before = self.seconds.get(key, 0.0)
                self.rows[key] = value
                self.seconds[key] = None if seconds is None or before is None else before + seconds
                self.maker[key] = len(self.makers) - 1 if self.makers else None


class Journal:
    """What a run has measured so far: one JSON line per piece of work, flushed to disk as it is written.

    The first line holds the settings; a run with other settings, or on other hardware, may not go on in the same file.
    A line that was cut off by a kill is dropped. Every line says how long its work took.

    Args:
        settings: Must be those of the journal. Raises InputError where they are not.
        facts: On what this process measures; the `DECISIVE` ones must be those of the journal.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any], *, facts: Facts | None = None) -> None:
        self.path = path
        self._facts = json.loads(json.dumps(facts)) if facts else None
        self._facts_are_written = facts is None
        self._since = time.perf_counter()
        self._read: dict[str, None] = {}
        wanted = json.loads(json.dumps(settings))
        lines = _whole_lines(path)
        self._lines = _taken(lines)
        if not lines:
            write_atomically(path, _line({"settings": wanted}))
            return
        if differing := _differing(self._lines, wanted, self._facts):
            raise InputError(
                f"{path} was begun with other settings ({', '.join(differing)}); "
                "give the same ones to resume it, or another --out"
            )
        write_atomically(path, b"".join(map(_line, [{"settings": wanted}, *lines[1:]])))

    def __contains__(self, key: str) -> bool:
        return key in self._lines.rows

    def __getitem__(self, key: str) -> Any:
        self._read[key] = None
        return self._lines.rows[key]

    def add(self, key: str, value: Any) -> None:
        """Keep a JSON value under a key. The work since the last line is its own."""
        self.add_all({key: value})

    def add_all(self, rows: Mapping[str, Any]) -> None:
        """Keep several values that were measured together, in equal shares of the time: all of them, or none."""
        now = time.perf_counter()
        text = b""
        if not self._facts_are_written:
            text, self._facts_are_written = _line({"maker": self._facts}), True
            self._lines.take({"maker": self._facts})
        line = json.loads(json.dumps({"rows": dict(rows), "seconds": round(now - self._since, 3)}))
        self._since = now
        self._lines.take(line)
        with self.path.open("ab") as file:
            file.write(text + _line(line))
            file.flush()
            os.fsync(file.fileno())

    @property
    def seconds(self) -> float | None:
        """What the values that were read took to measure, in every process; None where an old line does not say."""
        found = [self._lines.seconds[key] for key in self._read]
        known = [seconds for seconds in found if seconds is not None]
        return sum(known) if len(known) == len(found) else None

    @property
    def makers(self) -> list[Facts | None]:
        """On what the values that were read were measured, each once, in order; None for old lines that do not say."""
        places = {self._lines.maker[key] for key in self._read}
        known = sorted(place for place in places if place is not None)
        return [*([None] if None in places else []), *(self._lines.makers[place] for place in known)]


def goes_on(path: Path, settings: Mapping[str, Any], facts: Facts | None = None) -> bool:
    """Whether there is a journal that a run with these settings, on this hardware, may go on in."""
    lines = _taken(_whole_lines(path))
    wanted, own = json.loads(json.dumps([settings, facts]))
    return lines.settings is not None and not _differing(lines, wanted, own)


def keys_in(path: Path, settings: Mapping[str, Any]) -> frozenset[str]:
    """Keys that the journal of a run with these settings has; none where there is no such journal."""
    return frozenset(_taken(_whole_lines(path)).rows) if goes_on(path, settings) else frozenset()


def _differing(lines: _Lines, wanted: Mapping[str, Any], facts: Facts | None) -> list[str]:
    """Names of the settings and facts that are not the journal's."""
    found = lines.settings or {}
    names = {name for name in {*wanted, *found} if found.get(name) != wanted.get(name)}
    names -= {name for name in LATER if name not in found}
    facts = facts or {}
    names |= {name for maker in lines.makers for name in DECISIVE if name in facts and facts[name] != maker.get(name)}
    return sorted(names)


def _taken(lines: list[dict[str, Any]]) -> _Lines:
    taken = _Lines()
    for line in lines:
        taken.take(line)
    return taken


def _line(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _whole_lines(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    rows = []
    for line in path.read_bytes().split(b"\n"):
        try:
            rows.append(json.loads(line))
        except ValueError:
            break
    return rows
