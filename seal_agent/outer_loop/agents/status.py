"""The progress of an agent's run, read from its folder while another process may be working in it."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from seal_agent.errors import StoreError
from seal_agent.outer_loop.agents.rounds import AgentRound
from seal_agent.outer_loop.archive.run import LEDGER, MANIFEST

_ROUND = TypeAdapter(AgentRound)


@dataclass(frozen=True, slots=True)
class AgentStatus:
    """Closed rounds, and the finished pieces of every stage with their seconds, by round.

    `idle` is the seconds since the ledger was last written.
    """

    rounds: int
    closed: tuple[AgentRound, ...]
    stages: tuple[tuple[int, str, int, float], ...]
    idle: float

    @property
    def finished(self) -> bool:
        return len(self.closed) == self.rounds


def is_agent_run(folder: Path) -> bool:
    """Whether a folder holds the run of an agent's loop."""
    try:
        return "agent_plan" in json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False


def read_agent_status(folder: Path) -> AgentStatus:
    """Read a run's status. Takes no lock and changes nothing. Raises StoreError where it is damaged."""
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    try:
        uri = f"{(folder / LEDGER).resolve().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=30)) as db:
            query = (
                "SELECT round, kind, COUNT(*), SUM(seconds) FROM work GROUP BY round, kind ORDER BY round, MIN(rowid)"
            )
            stages = tuple(row for row in db.execute(query) if row[1] != "round")
            bodies = db.execute("SELECT body FROM work WHERE kind = 'round' ORDER BY round").fetchall()
    except sqlite3.Error as err:
        raise StoreError(f"the ledger in {folder} cannot be read ({err}); try again") from err
    files = [path for path in (folder / LEDGER, folder / f"{LEDGER}-wal") if path.is_file()]
    idle = time.time() - max(path.stat().st_mtime for path in files)
    closed = tuple(_ROUND.validate_json(body) for (body,) in bodies)
    return AgentStatus(int(manifest["agent_plan"]["rounds"]), closed, stages, idle)
