"""How far a run is, read from its folder while another process may be at work in it."""

from __future__ import annotations

import json
import sqlite3
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from seal_agent.errors import InputError, StoreError
from seal_agent.outer_loop.archive.run import LEDGER, MANIFEST
from seal_agent.outer_loop.plan import Plan
from seal_agent.outer_loop.rewards.reward import QuestionReward, gains
from seal_agent.outer_loop.rounds import RoundResult
from seal_agent.outer_loop.units import Case, Evaluated


@dataclass(frozen=True, slots=True)
class StageStatus:
    """Pieces of one stage of one round, and the seconds of work that the finished ones took."""

    stage: str
    done: int
    total: int
    seconds: float


@dataclass(frozen=True, slots=True)
class RoundStatus:
    """One round: its stages, and the rewards of the adapters judged so far (of a closed round, of its self-edits)."""

    round: int
    stages: tuple[StageStatus, ...]
    rewards: tuple[float, ...]

    @property
    def closed(self) -> bool:
        return all(stage.done >= stage.total for stage in self.stages if stage.stage == "round")

    @property
    def stage(self) -> StageStatus:
        """The one at work, or the last."""
        return next((stage for stage in self.stages if stage.done < stage.total), self.stages[-1])


@dataclass(frozen=True, slots=True)
class Status:
    """The rounds of a run. `rate` is units per second of work, `left` the seconds of work to go; None while unknown."""

    plan: Plan
    rounds: tuple[RoundStatus, ...]
    rate: float | None
    left: float | None
    idle: float
    """Seconds since anything was put on file."""

    @property
    def finished(self) -> bool:
        return all(one.closed for one in self.rounds)

    @property
    def current(self) -> RoundStatus:
        return next((one for one in self.rounds if not one.closed), self.rounds[-1])


def read_status(folder: Path) -> Status:
    """Takes no lock and changes nothing. Raises InputError where there is no run, StoreError where it is damaged."""
    manifest = _manifest(folder)
    planned = TypeAdapter(Plan).validate_python(manifest["plan"])
    with _readonly(folder) as db:
        rows = db.execute("SELECT round, kind, COUNT(*), SUM(seconds) FROM work GROUP BY round, kind")
        found = {(round_, kind): (count, seconds) for round_, kind, count, seconds in rows}
        rounds = tuple(_round(round_, planned, found, db, manifest["config"]) for round_ in range(planned.rounds))
    rate, left = _pace(planned, rounds)
    return Status(planned, rounds, rate, left, _idle(folder))


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except OSError as err:
        raise InputError(f"there is no run in {folder}; begin one with: seal train --run {folder} …") from err
    except ValueError as err:
        raise StoreError(f"{folder / MANIFEST} is damaged ({err}); choose another --run") from err
    if "plan" not in manifest:
        raise InputError(f"the run in {folder} was not begun by `seal train`; look at its report.md")
    return manifest


@contextmanager
def _readonly(folder: Path) -> Iterator[sqlite3.Connection]:
    address = f"{(folder / LEDGER).resolve().as_uri()}?mode=ro"
    try:
        with closing(sqlite3.connect(address, uri=True, timeout=30)) as db:
            yield db
    except sqlite3.Error as err:
        raise StoreError(
            f"the ledger in {folder} cannot be read ({err}); try again, or look from where it runs"
        ) from err


def _round(
    round_: int,
    planned: Plan,
    found: dict[tuple[int, str], tuple[int, float]],
    db: sqlite3.Connection,
    config: dict[str, Any],
) -> RoundStatus:
    closed = (round_, "round") in found
    stages = []
    for stage, total in planned.pieces(round_).items():
        done, seconds = found.get((round_, stage), (0, 0.0))
        # A round without winners has nothing to finetune on.
        stages.append(StageStatus(stage, total if closed else min(done, total), total, seconds))
    rewards = _closed_rewards(db, round_) if closed else _open_rewards(db, round_, config)
    return RoundStatus(round_, tuple(stages), tuple(rewards))


def _bodies(db: sqlite3.Connection, round_: int, kind: str) -> Iterator[str]:
    return (body for (body,) in db.execute("SELECT body FROM work WHERE round = ? AND kind = ?", (round_, kind)))


def _closed_rewards(db: sqlite3.Connection, round_: int) -> list[float]:
    return [
        gain for body in _bodies(db, round_, "round") for gain in TypeAdapter(RoundResult).validate_json(body).gains()
    ]


def _open_rewards(db: sqlite3.Connection, round_: int, config: dict[str, Any]) -> list[float]:
    """Rewards of adapters on self-edits; none yet where something else than questions gives them."""
    if config["reward"]["name"] != QuestionReward.name:
        return []
    loop = config["outer_loop"]
    reward, nobody = QuestionReward(loop["guard_penalty"] if loop["guard"] else 0.0), Case(None, "", ())
    results = [
        case for body in _bodies(db, round_, "evaluate") for case in TypeAdapter(Evaluated).validate_json(body).cases
    ]
    return gains(reward, [nobody] * len(results), results)


def _pace(planned: Plan, rounds: tuple[RoundStatus, ...]) -> tuple[float | None, float | None]:
    """Units per second, and seconds to go by what each stage's work took so far; no figure for what never ran."""
    every = [(one.round, stage) for one in rounds for stage in one.stages]
    spent, done, work, total = (defaultdict[str, float](float) for _ in range(4))
    for round_, stage in every:
        spent[stage.stage] += stage.seconds
        done[stage.stage] += stage.done
        work[stage.stage] += planned.work(stage.stage, stage.done, round_)
        total[stage.stage] += planned.work(stage.stage, stage.total, round_)
    judging = "evaluate" if planned.trains else "judge"
    if not done[judging] or not spent[judging]:
        return None, None
    left = sum((total[stage] - work[stage]) * spent[stage] / work[stage] for stage in total if work[stage])
    return done[judging] / spent[judging], left


def _idle(folder: Path) -> float:
    files = (folder / LEDGER, folder / f"{LEDGER}-wal")
    return time.time() - max(path.stat().st_mtime for path in files if path.exists())
