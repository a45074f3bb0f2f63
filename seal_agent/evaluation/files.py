"""Files that are whole or not there, and logs that survive being killed."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seal_agent import durable
from seal_agent.errors import InputError


def write_atomically(path: Path, data: bytes) -> None:
    """Write a draft beside the file, flush it to disk and rename it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.draft")
    durable.write(draft, data)
    draft.replace(path)


class Journal:
    """What a run has measured so far: one JSON line per piece of work, flushed to disk as it is written.

    The first line holds the settings; a run with other settings may not go on in the same file. A line that was cut
    off by a kill is dropped.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.path = path
        self._rows: dict[str, Any] = {}
        wanted = json.loads(json.dumps(settings))
        lines = _whole_lines(path)
        if not lines:
            write_atomically(path, _line({"settings": wanted}))
            return
        found = lines[0].get("settings")
        if found != wanted:
            names = sorted(name for name in {*wanted, *(found or {})} if (found or {}).get(name) != wanted.get(name))
            raise InputError(
                f"{path} was begun with other settings ({', '.join(names)}); "
                "give the same ones to resume it, or another --out"
            )
        self._rows = {line["key"]: line["value"] for line in lines[1:]}
        write_atomically(path, b"".join(map(_line, lines)))

    def __contains__(self, key: str) -> bool:
        return key in self._rows

    def __getitem__(self, key: str) -> Any:
        return self._rows[key]

    def add(self, key: str, value: Any) -> None:
        """Keep a JSON value under a key."""
        self._rows[key] = json.loads(json.dumps(value))
        with self.path.open("ab") as file:
            file.write(_line({"key": key, "value": value}))
            file.flush()
            os.fsync(file.fileno())


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
