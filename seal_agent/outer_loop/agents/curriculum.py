"""Which tasks are trained on in which round, and which never are."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from seal_agent.agents.environments.environment import Task
from seal_agent.errors import InputError
from seal_agent.seeds import derived_seed


@dataclass(frozen=True, slots=True)
class Curriculum:
    """Tasks to train on, easiest grade first, and those that only measure."""

    training: tuple[Task, ...]
    held_out: tuple[Task, ...]

    @property
    def grades(self) -> tuple[int, ...]:
        return tuple(sorted({task.grade for task in self.training}))

    def hardest(self, round_: int) -> int:
        """The hardest grade of a round: each round goes one grade further."""
        return self.grades[min(round_, len(self.grades) - 1)]

    def draw(self, round_: int, count: int, seed: int) -> tuple[Task, ...]:
        """The tasks of a round: half of them, and all in the first round, of its hardest grade; the rest easier.

        Where a grade has too few, others take their place.
        """
        hardest = self.hardest(round_)
        draw = random.Random(derived_seed(seed, "round", round_))
        new = _shuffled([task for task in self.training if task.grade == hardest], draw)
        easier = _shuffled([task for task in self.training if task.grade < hardest], draw)
        wanted = max(-(-count // 2), count - len(easier))
        return (*new[:wanted], *easier[: count - min(wanted, len(new))])

    def measured(self, rounds: int) -> tuple[Task, ...]:
        """Held-out tasks of the grades that a run of so many rounds trains."""
        return tuple(task for task in self.held_out if task.grade <= self.hardest(rounds - 1))


def split_tasks(tasks: Sequence[Task], share: float, seed: int) -> Curriculum:
    """Hold out a share of each grade's tasks, at least one where the grade has two and the share is not 0.

    The tasks of a family are spread over both sides as evenly as they can be. Raises InputError for no tasks, for two
    with the same id, and where nothing is left to train on.
    """
    if len({task.id for task in tasks}) != len(tasks):
        raise InputError("two tasks of this environment have the same id; give each one of its own")
    by_grade: dict[int, list[Task]] = defaultdict(list)
    for task in tasks:
        by_grade[task.grade].append(task)
    training, held_out = list[Task](), list[Task]()
    for grade in sorted(by_grade):
        spread = _spread(by_grade[grade], random.Random(derived_seed(seed, "held out", grade)))
        count = max(round(share * len(spread)), int(share > 0 and len(spread) > 1))
        held_out += spread[:count]
        training += spread[count:]
    if not training:
        raise InputError(
            f"{len(tasks)} tasks, of which {share:.0%} are held out, leave none to train on; hold out fewer"
        )
    return Curriculum(tuple(training), tuple(held_out))


def _spread(tasks: Sequence[Task], draw: random.Random) -> list[Task]:
    """The tasks in random order, the first of each family before the second of any."""
    seen: dict[str, int] = defaultdict(int)
    numbered = list[tuple[int, int, Task]]()
    for task in _shuffled(tasks, draw):
        numbered.append((seen[task.family], len(numbered), task))
        seen[task.family] += bool(task.family)
    return [task for _, _, task in sorted(numbered, key=lambda row: row[:2])]


def _shuffled(tasks: Sequence[Task], draw: random.Random) -> list[Task]:
    return draw.sample(list(tasks), len(tasks))
