"""The protocol of an app: what it shows, how it changes, and the state that success is judged by."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from seal_agent.agents.environments.apps.screen import Screen


@dataclass(frozen=True, slots=True)
class Effect:
    """What pressing a button says, whether it ends the task, and whether it was refused, so that nothing changed."""

    text: str
    done: bool = False
    refused: bool = False


def refused(text: str) -> Effect:
    """What is said of an action that changed nothing."""
    return Effect(text, refused=True)


class App(Protocol):
    """An app in some state. The environment refuses whatever is not on the screen, so an app need not."""

    def screen(self) -> Screen:
        """What is shown now."""
        ...

    def opened(self, name: str) -> None:
        """Show what a link of the screen leads to."""
        ...

    def changed(self, name: str, value: str) -> None:
        """Give a field of the screen a value that its kind accepts."""
        ...

    def pressed(self, name: str) -> Effect:
        """Press a button of the screen."""
        ...

    def state(self) -> Mapping[str, str]:
        """Everything that a task may ask for or that must stay as it was; not what is merely on the screen."""
        ...


@dataclass(frozen=True, slots=True)
class Beginning:
    """What an app starts from."""

    world: Mapping[str, Any]  # what the app always has, from its data file
    start: Mapping[str, Any]  # what the task asks of the first state
    target: Mapping[str, str]  # the values that the task wants; the first state has others
    rng: random.Random  # decides all else


AppFactory = Callable[[Beginning], App]
