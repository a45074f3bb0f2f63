"""The copies of rows and their answers that a site has, and the removal of those that it needs no longer."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seal_agent.evaluation.leaderboard.cells import Files
from seal_agent.evaluation.leaderboard.rows import DATA
from seal_agent.evaluation.ranking import Entry
from seal_agent.types import content_hash


def copy_rows(entries: Sequence[Entry], out: Path) -> dict[str, Files]:
    """Copy the results, and the answers beside them, into the site, a folder for each. Returns the copies by id."""
    copies = {}
    for entry in entries:
        row = entry.results
        folder = Path(DATA) / row.id
        answers = _answers_of(entry.path, row.samples.file if row.samples else "")
        for path in filter(None, (entry.path, answers)):
            _copy(path, out / folder / path.name)
        copies[row.id] = Files(
            (folder / entry.path.name).as_posix(), (folder / answers.name).as_posix() if answers else ""
        )
    return copies


def _copy(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if not (target.exists() and target.samefile(path)):
        shutil.copyfile(path, target)


def _answers_of(path: Path, name: str) -> Path | None:
    """The file of answers that the results at `path` name, if it lies beside them."""
    answers = path.parent / name
    return answers if name and Path(name).name == name and answers.is_file() else None


def remove_old_copies(out: Path, copies: Mapping[str, Files]) -> None:
    """Remove what an earlier site copied and this one did not. Only files whose content says so are removed."""
    kept = {out / name for files in copies.values() for name in (files.results, files.answers) if name}
    for path in (out / DATA).glob("*/*.json"):
        value = _read(path)
        if path in kept or not value or content_hash(value)[:12] != path.parent.name:
            continue
        samples = value.get("samples") or {}
        answers = _answers_of(path, samples.get("file", ""))
        if answers and answers not in kept and _sha256(answers) == samples.get("sha256"):
            answers.unlink()
        path.unlink()
        if not any(path.parent.iterdir()):
            path.parent.rmdir()


def _read(path: Path) -> dict[str, Any]:
    """The JSON object of a file; empty where it holds none."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
