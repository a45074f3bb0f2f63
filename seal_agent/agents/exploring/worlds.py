"""Environments at any point of any attempt: one that stands there already, or one that is led there again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from seal_agent.agents.environments.environment import Environment, Observation, is_cheap
from seal_agent.agents.environments.shortcuts import takes_shortcut
from seal_agent.agents.trajectories.rollout import Start, action_of
from seal_agent.generation.answer_form.form import Tool, tool_of_function
from seal_agent.types import ToolCall

MakeEnvironment = Callable[[], Environment]
"""Makes an environment of its own. It can be sent to another process, so it is no lambda."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What an environment shows at some point, and how the attempt stands: `success` is its verdict now.

    `refused` says of the last call that it was impossible and changed nothing. `calls` are the tools as they can be
    called now, where the environment tells.
    """

    text: str
    done: bool
    success: bool
    shortcut: bool
    refused: bool = False
    calls: tuple[Tool, ...] = ()


@dataclass(slots=True)
class _Slot:
    environment: Environment
    at: Start | None = None
    seen: Observation = field(default_factory=lambda: Observation(""))
    used: int = 0


class Worlds:
    """At most `size` environments, or as many as are needed of those that are cheap.

    Where all of them are in use, the one used last is led elsewhere: attempts take turns, so its own comes last. That
    resets it and repeats the calls so far, since environments are deterministic.
    """

    def __init__(self, make: MakeEnvironment, size: int) -> None:
        self._make, self._size = make, size
        self._slots: list[_Slot] = []
        self._clock = 0

    def __enter__(self) -> Worlds:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release all environments."""
        slots, self._slots = self._slots, []
        for slot in slots:
            slot.environment.close()

    @property
    def any(self) -> Environment:
        """An environment, wherever it stands: for its name, tools and tasks."""
        if not self._slots:
            self._slots.append(_Slot(self._make()))
        return self._slots[0].environment

    def look(self, start: Start) -> Seen:
        """What is seen after a start's calls."""
        return _seen(self._slot_at(start))

    def step(self, start: Start, call: ToolCall) -> Seen:
        """What is seen after one more call."""
        slot = self._slot_at(start)
        slot.at = None  # an environment that fails in the middle stands nowhere
        slot.seen = slot.environment.step(action_of(call))
        slot.at = Start(start.task, start.seed, (*start.calls, call))
        return _seen(slot)

    def keep(self, starts: Iterable[Start]) -> None:
        """Only from these points is it gone on: the environments that stand elsewhere are free."""
        kept = set(starts)
        for slot in self._slots:
            if slot.at not in kept:
                slot.at = None

    def screenshot(self, start: Start) -> bytes | None:
        """A picture of the state after a start's calls; None where there is nothing to see."""
        return self._slot_at(start).environment.screenshot()

    def _slot_at(self, start: Start) -> _Slot:
        """An environment that stands there, led there if necessary."""
        self._clock += 1
        slot = next((slot for slot in self._slots if slot.at == start), None)
        if slot is None:
            slot = self._free_slot()
            _lead(slot, start)
        slot.used = self._clock
        return slot

    def _free_slot(self) -> _Slot:
        if free := next((slot for slot in self._slots if slot.at is None), None):
            return free
        if len(self._slots) < self._size or is_cheap(self.any):
            self._slots.append(_Slot(self._make()))
            return self._slots[-1]
        return max(self._slots, key=lambda slot: slot.used)


def _lead(slot: _Slot, start: Start) -> None:
    slot.at = None
    slot.seen = slot.environment.reset(start.task, start.seed)
    for call in start.calls:
        slot.seen = slot.environment.step(action_of(call))
    slot.at = start


def _seen(slot: _Slot) -> Seen:
    at = slot.at
    shortcut = at is not None and takes_shortcut(slot.environment, at.task, map(action_of, at.calls))
    seen = slot.seen
    calls = tuple(map(tool_of_function, seen.calls))
    return Seen(seen.text, seen.done, slot.environment.success(), shortcut, seen.refused, calls)
