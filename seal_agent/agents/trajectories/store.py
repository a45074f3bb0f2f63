"""The trajectories of one adapter: redacted, bounded, and kept in the ledger beside its revisions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from pydantic import TypeAdapter

from seal_agent.agents.trajectories.trajectory import Outcome, Redact, Trajectory, bounded, redacted
from seal_agent.config import TrajectoryLimits
from seal_agent.errors import AdapterError
from seal_agent.store import trajectories as table
from seal_agent.store.ledger import Ledger

DEFAULT_LIMITS = TrajectoryLimits()

_TRAJECTORY: TypeAdapter[Trajectory] = TypeAdapter(Trajectory)


@dataclass(frozen=True, slots=True)
class Kept:
    """A trajectory in the store, when it came there, and the revision that learnt it, "" where none has."""

    id: str
    trajectory: Trajectory
    created: str
    learnt: str


@dataclass(frozen=True, slots=True)
class TrajectoryStore:
    """Trajectories of one adapter, by its name in the whole store.

    Args:
        redact: Called with every text before it is written; what it leaves out is nowhere on disk.
        limits: Beyond them the oldest trajectories are deleted and long texts are cut.
    """

    ledger: Ledger
    adapter: str
    redact: Redact | None = None
    limits: TrajectoryLimits = DEFAULT_LIMITS

    def prepared(self, trajectory: Trajectory) -> Trajectory:
        """A trajectory as it would be kept. Raises InputError for one that is too long or has no steps."""
        kept = bounded(trajectory, self.limits)
        return redacted(kept, self.redact) if self.redact else kept

    def add(self, trajectories: Iterable[Trajectory]) -> list[Trajectory]:
        """Keep some trajectories; returns them as they are kept. Raises InputError before anything is written."""
        prepared = [self.prepared(trajectory) for trajectory in trajectories]
        for each in prepared:
            body = _TRAJECTORY.dump_json(each).decode()
            table.put(self.ledger.database, self.adapter, each.id, each.outcome, body)
        kept = table.rows(self.ledger.database, self.adapter)
        excess = [row.id for row in kept[: max(0, len(kept) - self.limits.trajectories)]]
        table.drop(self.ledger.database, self.adapter, excess)
        return prepared

    def all(self) -> list[Kept]:
        """Every trajectory, oldest first."""
        rows = table.rows(self.ledger.database, self.adapter)
        return [Kept(row.id, _TRAJECTORY.validate_json(row.body), row.created, row.learnt) for row in rows]

    def verify(self, id_: str, outcome: Outcome, by: str) -> Trajectory:
        """Write down how a trajectory ended and who says so; returns it. Raises AdapterError for an unknown one."""
        kept = next((kept for kept in self.all() if kept.id == id_), None)
        if kept is None:
            raise self._unknown(id_)
        verified = replace(kept.trajectory, outcome=outcome, verified_by=by)
        table.put(self.ledger.database, self.adapter, id_, outcome, _TRAJECTORY.dump_json(verified).decode())
        return verified

    def to_learn(self) -> list[Trajectory]:
        """Verified successes that no revision has learnt yet, oldest first."""
        return [kept.trajectory for kept in self.all() if not kept.learnt and kept.trajectory.is_lesson]

    def mark_learnt(self, trajectories: Sequence[Trajectory], revision: str) -> None:
        """Write down which revision learnt some of them."""
        table.mark_learnt(self.ledger.database, self.adapter, [each.id for each in trajectories], revision)

    def forget(self, ids: Sequence[str]) -> None:
        """Delete some trajectories for good. Raises AdapterError for one that is not there or that was learnt."""
        known = {row.id: row.learnt for row in table.rows(self.ledger.database, self.adapter)}
        for id_ in ids:
            if id_ not in known:
                raise self._unknown(id_)
            if known[id_]:
                raise AdapterError(
                    f"revision {known[id_]} has learnt trajectory {id_}; `seal forget {known[id_]}` takes it back and "
                    "deletes it"
                )
        table.drop(self.ledger.database, self.adapter, ids)
        self.ledger.scrub()

    @staticmethod
    def _unknown(id_: str) -> AdapterError:
        return AdapterError(f"there is no trajectory {id_!r} of this adapter; `seal trajectories` lists them")
