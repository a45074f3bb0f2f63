"""The apps as one environment: four tools act on whatever the screen shows; success is the state, and nothing else."""

from __future__ import annotations

import functools
import json
import random
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from seal_agent.agents.environments.apps.app import App, AppFactory, Beginning, Effect, refused
from seal_agent.agents.environments.apps.forms import Forms
from seal_agent.agents.environments.apps.screen import Screen, named
from seal_agent.agents.environments.apps.settings import Settings
from seal_agent.agents.environments.apps.shop import Shop
from seal_agent.agents.environments.apps.tasks import AppTask, app_tasks
from seal_agent.agents.environments.apps.tickets import Tickets
from seal_agent.agents.environments.calls import Arguments, possible
from seal_agent.agents.environments.environment import Action, Observation, Task
from seal_agent.errors import InputError
from seal_agent.seeds import derived_seed

NAME = "apps"
MAX_STEPS = 10  # the longest solution has 7
OVER = "The task is over."
_APPS: Mapping[str, AppFactory] = {"settings": Settings, "forms": Forms, "shop": Shop, "tickets": Tickets}


class AppsEnvironment:
    """Settings, forms, a shop and a ticket desk. A task and a seed decide everything.

    The seed decides what a task does not name: the other values, the other items, and the order in which things stand.
    """

    name = NAME
    cheap = True

    def __init__(self, max_steps: int = MAX_STEPS) -> None:
        self.max_steps = max_steps
        self._specs = {spec.task.id: spec for spec in app_tasks()}
        self._app: App | None = None
        self._wanted: Mapping[str, str] = {}
        self._done = False

    @property
    def tasks(self) -> Sequence[Task]:
        return [spec.task for spec in self._specs.values()]

    @property
    def tools(self) -> Sequence[Mapping[str, Any]]:
        return _tools()

    def spec(self, task: Task) -> AppTask:
        """What the environment knows of a task: its target, its solution. Raises InputError for another's task."""
        if task.id not in self._specs:
            raise InputError(f"there is no task {task.id!r} in the environment {NAME}; take one of its tasks")
        return self._specs[task.id]

    def shortcut(self, task: Task) -> Action | None:
        """The action that sounds like success without being it, where a task has one."""
        return self.spec(task).shortcut

    @property
    def screen(self) -> Screen:
        """What is shown now, as values. Raises InputError before the first `reset`."""
        return self._running().screen()

    def reset(self, task: Task, seed: int = 0) -> Observation:
        spec = self.spec(task)
        rng = random.Random(derived_seed(seed, NAME, task.id))
        self._app = _APPS[spec.app](Beginning(spec.world, spec.start, spec.target, rng))
        self._wanted = {**self._app.state(), **spec.target}
        self._done = False
        screen = self._app.screen()
        return Observation(screen.text, calls=_possible(screen))

    def step(self, action: Action) -> Observation:
        app = self._running()
        if self._done:
            return Observation(OVER, done=True)
        effect = _act(app, action)
        self._done = effect.done
        if effect.done:
            return Observation(effect.text, done=True, refused=effect.refused)
        screen = app.screen()
        text = "\n".join(filter(None, [effect.text, screen.text]))
        return Observation(text, refused=effect.refused, calls=_possible(screen))

    def success(self) -> bool:
        return self._app is not None and self._app.state() == self._wanted

    def screenshot(self) -> bytes | None:
        return None

    def close(self) -> None:
        self._app = None

    def _running(self) -> App:
        if self._app is None:
            raise InputError("no task was begun; call reset with one first")
        return self._app


@functools.cache
def _tools() -> tuple[Mapping[str, Any], ...]:
    data = resources.files("seal_agent") / "agents/environments/apps/data/tools.json"
    return tuple(json.loads(data.read_text("utf-8")))


def _possible(screen: Screen) -> Sequence[Mapping[str, Any]]:
    """The tools as the screen allows them; a field takes no value that it has."""
    values = [{"name": [field.name], "value": field.kind.others(field.value)} for field in screen.fields]
    calls: dict[str, Sequence[Arguments]] = {
        "open": [{"name": screen.links}],
        "set": values,
        "press": [{"name": screen.buttons}],
        "finish": [{}],
    }
    return possible(_tools(), calls)


def _act(app: App, action: Action) -> Effect:
    """Do what the screen allows; anything else is refused in words and changes nothing."""
    name, value = (str(action.arguments.get(key, "")) for key in ("name", "value"))
    screen = app.screen()
    if action.name == "open":
        return _open(app, screen, name)
    if action.name == "set":
        return _set(app, screen, name, value)
    if action.name == "press":
        button = named(name, screen.buttons)
        return refused(f"There is no button {name!r} here.") if button is None else app.pressed(button)
    if action.name == "finish":
        return Effect("The task was ended.", done=True)
    return refused(f"There is no tool {action.name!r}. The tools are open, set, press and finish.")


def _open(app: App, screen: Screen, name: str) -> Effect:
    link = named(name, screen.links)
    if link is None:
        return refused(f"There is nothing called {name!r} to open here.")
    app.opened(link)
    return Effect("")


def _set(app: App, screen: Screen, name: str, value: str) -> Effect:
    field = screen.field(name)
    if field is None:
        return refused(f"There is no field {name!r} here.")
    accepted = field.kind.accepted(value)
    if accepted is None:
        return refused(f"{field.name} does not take {value!r}{field.kind.hint or ' (some text)'}.")
    app.changed(field.name, accepted)
    return Effect(f"{field.name} is now {accepted if field.kind.hint else repr(accepted)}.")
