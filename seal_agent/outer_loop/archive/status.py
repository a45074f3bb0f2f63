"""The progress of a run, read from its folder while another process may be working in it."""

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
from seal_agent.outer_loop.collapse import sign_of_collapse
from seal_agent.outer_loop.plan import Plan
from seal_agent.outer_loop.rewards.reward import QuestionReward, gains
from seal_agent.outer_loop.rounds import RoundResult
from seal_agent.outer_loop.units import Case, UnitResult


@dataclass(frozen=True, slots=True)
class StageStatus:
    """Pieces of work of one stage in one round, and the seconds that the finished ones took."""

    stage: str
    done: int
    total: int
    seconds: float


@dataclass(frozen=True, slots=True)
class RoundStatus:
    """One round: its stages, and the rewards of its adapters so far; of a closed round, those of its self-edits."""

    round: int
    stages: tuple[StageStatus, ...]
    rewards: tuple[float, ...]

    @property
    def closed(self) -> bool:
        return all(stage.done >= stage.total for stage in self.stages if stage.stage == "round")

    @property
    def stage(self) -> StageStatus:
        """The first unfinished stage, or the last stage."""
        return next((stage for stage in self.stages if stage.done < stage.total), self.stages[-1])


@dataclass(frozen=True, slots=True)
class Status:
    """The rounds of a run.

    `rate` is units per second of work (contexts per second where nothing is trained); `left` is the seconds of work
    left. Both are None while unknown.
    """

    plan: Plan
    rounds: tuple[RoundStatus, ...]
    rate: float | None
    left: float | None
    idle: float
    """Seconds since the last write to the ledger."""
    stopped: str = ""
    """The sign of collapse that ended the run before its last round; "" for none."""

    @property
    def finished(self) -> bool:
        """Whether all rounds are closed, or none is to come after a collapse."""
        return bool(self.stopped) or all(status.closed for status in self.rounds)

    @property
    def current(self) -> RoundStatus:
        """The first unfinished round, or the last round; of a run that collapsed its last closed round."""
        if self.stopped:
            return [status for status in self.rounds if status.closed][-1]
        return next((status for status in self.rounds if not status.closed), self.rounds[-1])


def read_status(folder: Path) -> Status:
    """Read a run's status. Takes no lock and changes nothing.

    Raises InputError where there is no run, StoreError where it is damaged.
    """
    manifest = _manifest(folder)
    plan = TypeAdapter(Plan).validate_python(manifest["plan"])
    with _readonly(folder) as db:
        rows = db.execute("SELECT round, kind, COUNT(*), SUM(seconds) FROM work GROUP BY round, kind")
        finished = {(round_, kind): (count, seconds) for round_, kind, count, seconds in rows}
        rounds = tuple(_round(round_, plan, finished, db, manifest["config"]) for round_ in range(plan.rounds))
        stopped = sign_of_collapse(_closed(db, plan)) if manifest["config"]["reward"].get("samples") else ""
    rate, left = _pace(plan, rounds)
    return Status(plan, rounds, rate, 0.0 if stopped else left, _idle(folder), stopped)


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
    uri = f"{(folder / LEDGER).resolve().as_uri()}?mode=ro"
    try:
        with closing(sqlite3.connect(uri, uri=True, timeout=30)) as db:
            yield db
    except sqlite3.Error as err:
        raise StoreError(
            f"the ledger in {folder} cannot be read ({err}); try again, or look from where it runs"
        ) from err


def _round(
    round_: int,
    plan: Plan,
    finished: dict[tuple[int, str], tuple[int, float]],
    db: sqlite3.Connection,
    config: dict[str, Any],
) -> RoundStatus:
    closed = (round_, "round") in finished
    stages = []
    for stage, total in plan.pieces(round_).items():
        done, seconds = finished.get((round_, stage), (0, 0.0))
        # A round without winners has nothing to finetune on.
        stages.append(StageStatus(stage, total if closed else min(done, total), total, seconds))
    rewards = _closed_rewards(db, round_) if closed else _open_rewards(db, round_, config)
    return RoundStatus(round_, tuple(stages), tuple(rewards))


def _bodies(db: sqlite3.Connection, round_: int, kind: str) -> Iterator[str]:
    return (body for (body,) in db.execute("SELECT body FROM work WHERE round = ? AND kind = ?", (round_, kind)))


def _closed(db: sqlite3.Connection, plan: Plan) -> list[RoundResult]:
    """The results of the closed rounds, in order."""
    rows = (body for round_ in range(plan.rounds) for body in _bodies(db, round_, "round"))
    return [TypeAdapter(RoundResult).validate_json(body) for body in rows]


def _closed_rewards(db: sqlite3.Connection, round_: int) -> list[float]:
    return [
        gain for body in _bodies(db, round_, "round") for gain in TypeAdapter(RoundResult).validate_json(body).gains()
    ]


def _open_rewards(db: sqlite3.Connection, round_: int, config: dict[str, Any]) -> list[float]:
    """Rewards of adapters on self-edits so far; empty where another reward than QuestionReward gives them."""
    if config["reward"]["name"] != QuestionReward.name:
        return []
    outer_loop = config["outer_loop"]
    reward = QuestionReward(outer_loop["guard_penalty"] if outer_loop["guard"] else 0.0)
    results = [
        case for body in _bodies(db, round_, "evaluate") for case in TypeAdapter(UnitResult).validate_json(body).cases
    ]
    placeholder = Case(None, "", ())  # this reward looks at the answers only
    return gains(reward, [placeholder] * len(results), results)


def _pace(plan: Plan, rounds: tuple[RoundStatus, ...]) -> tuple[float | None, float | None]:
    """Units per second, and the seconds left by the pace of each stage so far; None before the first unit.

    A stage that never ran adds nothing to the seconds left.
    """
    seconds, done, work_done, work_total = (defaultdict[str, float](float) for _ in range(4))
    for status in rounds:
        for stage in status.stages:
            seconds[stage.stage] += stage.seconds
            done[stage.stage] += stage.done
            work_done[stage.stage] += plan.work(stage.stage, stage.done, status.round)
            work_total[stage.stage] += plan.work(stage.stage, stage.total, status.round)
    judging = "evaluate" if plan.trains else "judge"
    if not done[judging] or not seconds[judging]:
        return None, None
    left = sum(
        (work_total[stage] - work_done[stage]) * seconds[stage] / work_done[stage]
        for stage in work_total
        if work_done[stage]
    )
    return done[judging] / seconds[judging], left


def _idle(folder: Path) -> float:
    files = (folder / LEDGER, folder / f"{LEDGER}-wal")
    return time.time() - max(path.stat().st_mtime for path in files if path.exists())
