"""The result of a round of an agent's loop: a value that the ledger keeps and the report is made from."""

from __future__ import annotations

from dataclasses import dataclass

from seal_agent.agents.scoring.quality import ScorerQuality


@dataclass(frozen=True, slots=True)
class TaskResult:
    """One greedy attempt at a task."""

    task: str
    grade: int
    family: str
    success: bool
    steps: int
    shortcut: bool


@dataclass(frozen=True, slots=True)
class TaskExploration:
    """What exploring a task gave: attempts and successes, at first and when rolled out again from its steps."""

    task: str
    grade: int
    attempts: int
    successes: int
    rerolled: int = 0
    rerolled_successes: int = 0

    @property
    def solved(self) -> bool:
        return self.successes + self.rerolled_successes > 0


@dataclass(frozen=True, slots=True)
class ScorerReport:
    """The scorer after a round: its adapter's folder, what it was trained on, and its quality on held-out labels.

    `hard` labels are bad steps that the last scorer had accepted. `selects` says whether it may choose among candidates
    in the next round: its quality is good enough, on enough labels of enough tasks.
    """

    name: str
    adapter: str = ""
    labels: int = 0
    hard: int = 0
    quality: ScorerQuality | None = None
    selects: bool = False


@dataclass(frozen=True, slots=True)
class ShortcutCounts:
    """Attempts of a round that took a shortcut: of all, those that the round's scorer alone would have accepted as
    lessons, and those that were accepted with the environment's verdict."""

    attempts: int
    taken: int
    by_scorer_alone: int
    with_verdict: int


@dataclass(frozen=True, slots=True)
class GateReport:
    """Whether the new policy was promoted: tasks that the last policy did, and how many of those the new one fails."""

    promoted: bool
    reason: str
    done_before: int = 0
    lost: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AgentRound:
    """One round. `policy` explored, `next_policy` was promoted or is the same; "" is the base model."""

    round: int
    policy: str
    next_policy: str
    candidate: str
    explored: tuple[TaskExploration, ...]
    lessons: int
    losses: tuple[float, ...]
    scorer: ScorerReport
    selected: bool
    """Whether a scorer chose among candidates in this round."""
    gate: GateReport
    shortcuts: ShortcutCounts
    held_out: tuple[TaskResult, ...]
    """Held-out tasks, as `next_policy` does them."""


@dataclass(frozen=True, slots=True)
class AgentResults:
    """The rounds of a run, and the held-out tasks as the base model does them."""

    environment: str
    base: tuple[TaskResult, ...]
    rounds: tuple[AgentRound, ...]
