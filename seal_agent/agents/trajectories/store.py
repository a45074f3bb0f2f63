"""The trajectories of one adapter: redacted, bounded, and kept in the ledger beside its revisions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
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

    _ledger: Ledger
    adapter: str
    redact: Redact | None = None
    limits: TrajectoryLimits = DEFAULT_LIMITS

    def prepared(self, trajectory: Trajectory) -> Trajectory:
        """A trajectory as it would be kept. Raises InputError for one that is too long or has no steps."""
        return bounded(redacted(trajectory, self.redact) if self.redact else trajectory, self.limits)

    def add(self, trajectories: Iterable[Trajectory]) -> list[Trajectory]:
        """Keep some trajectories; returns them as they are kept. Raises InputError before anything is written.

        One that somebody verified stays as it is where the same comes again and nobody has verified that.
        """
        prepared = [self.prepared(trajectory) for trajectory in trajectories]
        added = [self._put(each, keep=_is_verified if not each.is_verified else None) for each in prepared]
        kept = table.rows(self._ledger.database, self.adapter)
        excess = [row.id for row in kept[: max(0, len(kept) - self.limits.trajectories)]]
        table.drop(self._ledger.database, self.adapter, excess)
        return added

    def all(self) -> list[Kept]:
        """Every trajectory, oldest first."""
        rows = table.rows(self._ledger.database, self.adapter)
        return [Kept(row.id, _TRAJECTORY.validate_json(row.body), row.created, row.learnt) for row in rows]

    def verify(self, id_: str, outcome: Outcome, by: str) -> Trajectory:
        """Write down how a trajectory ended and who says so; returns it. Raises AdapterError for an unknown one."""
        kept = next((kept for kept in self.all() if kept.id == id_), None)
        if kept is None:
            raise self._unknown(id_)
        return self._put(replace(kept.trajectory, outcome=outcome, verified_by=by))

    def to_learn(self) -> list[Trajectory]:
        """Verified successes that no revision has learnt yet, oldest first."""
        return [kept.trajectory for kept in self.all() if not kept.learnt and kept.trajectory.is_lesson]

    def untried(self) -> list[Trajectory]:
        """Of those to learn, the ones that no revision was trained on yet, not even one that the gate refused."""
        trained = self.trained()
        return [each for each in self.to_learn() if each.id not in trained]

    def trained(self) -> Mapping[str, AbstractSet[str]]:
        """The revisions that were trained on each trajectory, by its id; those that the gate refused among them."""
        return table.trained(self._ledger.database, self.adapter)

    def mark_learnt(self, trajectories: Sequence[Trajectory], revision: str) -> None:
        """Write down which revision learnt some of them."""
        ids = [each.id for each in trajectories]
        table.mark_trained(self._ledger.database, self.adapter, ids, revision, learnt=True)

    def mark_tried(self, trajectories: Sequence[Trajectory], revision: str) -> None:
        """Write down which revision was trained on some of them and refused: they are still to be learnt."""
        ids = [each.id for each in trajectories]
        table.mark_trained(self._ledger.database, self.adapter, ids, revision, learnt=False)

    def forget(self, ids: Sequence[str]) -> None:
        """Delete some trajectories for good.

        Raises AdapterError for one that is not there, and for one that a revision was trained on, whose text has it.
        """
        known = {row.id: row.learnt for row in table.rows(self._ledger.database, self.adapter)}
        trained = self.trained()
        for id_ in ids:
            if id_ not in known:
                raise self._unknown(id_)
            if id_ in trained:
                revision = known[id_] or min(trained[id_])
                done = "has learnt" if known[id_] else "was trained on"
                raise AdapterError(
                    f"revision {revision} {done} trajectory {id_}; `seal forget {revision}` takes it back and deletes "
                    "what it was trained on"
                )
        table.drop(self._ledger.database, self.adapter, ids)
        self._ledger.scrub()

    def _put(self, trajectory: Trajectory, keep: Callable[[str], bool] | None = None) -> Trajectory:
        """Write a trajectory down; returns what is kept of it."""
        body = _TRAJECTORY.dump_json(trajectory).decode()
        keep = keep or (lambda _: False)
        kept = table.put(self._ledger.database, self.adapter, trajectory.id, trajectory.outcome, body, keep)
        return trajectory if kept == body else _TRAJECTORY.validate_json(kept)

    @staticmethod
    def _unknown(id_: str) -> AdapterError:
        return AdapterError(f"there is no trajectory {id_!r} of this adapter; `seal trajectories` lists them")


def _is_verified(body: str) -> bool:
    return _TRAJECTORY.validate_json(body).is_verified
