"""Attempts in progress, and how one becomes a rollout."""

from __future__ import annotations

from dataclasses import dataclass, replace

from seal_agent.agents.exploring.actor import View
from seal_agent.agents.exploring.worlds import Seen, Worlds
from seal_agent.agents.trajectories.rollout import Rollout, Start
from seal_agent.agents.trajectories.trajectory import Step, calls_of
from seal_agent.types import ToolCall


@dataclass(frozen=True, slots=True)
class Path:
    """An attempt in progress: where it began, what was seen and done, what is seen now, and its steps' scores."""

    start: Start
    steps: tuple[Step, ...]
    seen: Seen
    scores: tuple[float, ...] = ()
    stuck: bool = False
    """The agent could not write a whole call."""

    @property
    def view(self) -> View:
        return View(self.start.task.goal, self.steps, self.seen.text, self.seen.calls)

    @property
    def here(self) -> Start:
        """Where the attempt stands."""
        return replace(self.start, calls=calls_of(self.steps))

    def taken(self, worlds: Worlds, call: ToolCall, score: float | None = None) -> Path:
        """The path with one more call."""
        seen = worlds.step(self.here, call)
        steps = (*self.steps, Step(self.seen.text, call, failed=seen.refused))
        scores = self.scores if score is None else (*self.scores, score)
        return Path(self.start, steps, seen, scores)

    def ended(self, max_steps: int, repeats: int) -> bool:
        """Whether no further call is made: the task is over, the agent is stuck, or it goes in circles.

        It does where it made the last call `repeats` times in a row, or as often after seeing the same.
        """
        return self.seen.done or self.stuck or len(self.steps) >= max_steps or self._goes_in_circles(repeats)

    def _goes_in_circles(self, repeats: int) -> bool:
        if repeats == 1 or not self.steps:
            return False
        calls = [step.call for step in self.steps]
        sights = [(step.observation, step.call) for step in self.steps]
        return calls[-repeats:] == [calls[-1]] * repeats or sights.count(sights[-1]) >= repeats

    def rollout(self) -> Rollout:
        """The ended attempt with the environment's verdict.

        It succeeded where the environment says both that the task is over and that it is done. One that was ended from
        outside, since it went in circles or took too many steps, did not: what it did would be learnt with it.
        """
        task, seen = self.start.task, self.seen
        given = len(self.start.calls)
        success = seen.done and seen.success
        return Rollout(task.id, task.goal, self.start.seed, self.steps, seen.text, success, seen.shortcut, given)


def begin(worlds: Worlds, start: Start) -> Path:
    """The path that a start leads to: its calls are taken one by one."""
    path = Path(start, (), worlds.look(replace(start, calls=())))
    for call in start.calls:
        path = path.taken(worlds, call)
    return path


def stuck(path: Path) -> Path:
    """The path of an agent that wrote no whole call."""
    return replace(path, stuck=True)
