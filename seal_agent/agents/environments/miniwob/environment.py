"""MiniWoB++ as an environment: pages as numbered lines; click, type and select by number; its reward as the verdict."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seal_agent.agents.environments.calls import possible
from seal_agent.agents.environments.environment import Action, Observation, Task
from seal_agent.agents.environments.miniwob.browser import Browser, check_playwright, find_chromium, find_pages
from seal_agent.agents.environments.miniwob.tasks import miniwob_tasks
from seal_agent.agents.environments.miniwob.text import moment_value, page_calls, page_text
from seal_agent.errors import InputError, SealError, first_line

if TYPE_CHECKING:
    from playwright.sync_api import ElementHandle, Page

NAME = "miniwob"
MAX_STEPS = 10  # the longest family, odd-or-even, takes up to 8 actions
OVER = "The task is over."
WAIT = 2_000  # milliseconds for an element to become usable; nothing on these pages takes long
_FOLDER = Path(str(resources.files("seal_agent") / "agents/environments/miniwob"))
_SUCCESS = 1.0  # click-checkboxes gives parts of it for some of the boxes


class MiniWobEnvironment:
    """Pages of the package miniwob, as local files, in a headless Chromium that starts with the first task.

    A task's id is its page's seed, so its goal is known beforehand; the seed of `reset` changes nothing. Pages have a
    day instead of MiniWoB++'s ten seconds, and their reward is not discounted by time. Raises MissingDependency where
    Chromium, Playwright or the package is missing.
    """

    name = NAME

    def __init__(self, max_steps: int = MAX_STEPS) -> None:
        self.max_steps = max_steps
        check_playwright()
        find_chromium()
        self._pages = find_pages() / "miniwob"
        self._browser: Browser | None = None
        self._begun = self._done = False
        self._reward = 0.0

    @property
    def tasks(self) -> Sequence[Task]:
        return miniwob_tasks()

    @property
    def tools(self) -> Sequence[Mapping[str, Any]]:
        return _tools()

    def reset(self, task: Task, seed: int = 0) -> Observation:
        goal = self.begin(task)
        if goal != task.goal:
            raise SealError(
                f"the page of {task.id} asks for {goal!r}, not for {task.goal!r}; "
                "install the miniwob that the goals were read from: pip install 'miniwob>=1.1,<1.2'"
            )
        return self._observe()

    def begin(self, task: Task) -> str:
        """Load a task's page and return the goal that it shows. Raises InputError for an unknown family."""
        path = self._pages / f"{task.family}.html"
        if not path.is_file() or task.id not in {known.id for known in self.tasks}:
            raise InputError(f"there is no task {task.id!r} in the environment {NAME}; take one of its tasks")
        try:
            return self._load(path, task.id)
        except SealError:  # Chromium may have died since the last task; a new one is tried once
            self.close()
            return self._load(path, task.id)

    def step(self, action: Action) -> Observation:
        if self._done:
            return Observation(OVER, done=True)
        refusal = self._running().run(lambda page: _act(page, action))
        return self._observe(refusal)

    def success(self) -> bool:
        return self._done and self._reward >= _SUCCESS

    def screenshot(self) -> bytes | None:
        """The page as it is now, 160 × 210 pixels, with the last click marked; None before the first task."""
        return self._browser.run(lambda page: page.screenshot()) if self._browser and self._begun else None

    def close(self) -> None:
        browser, self._browser, self._begun = self._browser, None, False
        if browser:
            browser.close()

    def _load(self, path: Path, seed: str) -> str:
        self._browser = self._browser or Browser(_FOLDER / "page.js")
        goal = self._browser.run(lambda page: _begin(page, path, seed))
        self._begun, self._done, self._reward = True, False, 0.0
        return goal

    def _running(self) -> Browser:
        if self._browser is None or not self._begun:
            raise InputError("no task was begun; call reset with one first")
        return self._browser

    def _observe(self, refusal: str = "") -> Observation:
        seen = self._running().run(lambda page: page.evaluate("() => sealPage.observe()"))
        self._done, self._reward = bool(seen["done"]), float(seen["reward"])
        text = OVER if self._done else page_text(seen["entries"])
        calls = () if self._done else possible(_tools(), page_calls(seen["entries"]))
        return Observation("\n".join(filter(None, [refusal, text])), self._done, bool(refusal), calls)


@functools.cache
def _tools() -> tuple[Mapping[str, Any], ...]:
    return tuple(json.loads((_FOLDER / "tools.json").read_text("utf-8")))


def _begin(page: Page, path: Path, seed: str) -> str:
    page.goto(path.as_uri())
    return str(page.evaluate("seed => sealPage.begin(seed)", seed))


def _act(page: Page, action: Action) -> str:
    """Do one thing on the page; what is refused is told, "" if nothing is."""
    from playwright.sync_api import Error

    if action.name not in _ACTIONS:
        return f"There is no tool {action.name!r}. The tools are {', '.join(_ACTIONS)}."
    reference = str(action.arguments.get("ref", "")).strip().strip("[]")
    element = page.evaluate_handle("number => sealPage.element(number)", reference).as_element()
    if element is None or not element.is_visible():
        return f"There is no element {reference!r} here."
    try:
        _ACTIONS[action.name](element, action.arguments)
    except Error as err:
        return f"Element {reference} does not take {action.name}: {first_line(err)}."
    return ""


def _click(element: ElementHandle, arguments: Mapping[str, str]) -> None:
    element.click(timeout=WAIT)


def _type(element: ElementHandle, arguments: Mapping[str, str]) -> None:
    """Replace a field's text, key by key, as pages with suggestions expect; a date or time is set as a whole."""
    text = str(arguments.get("text", ""))
    moment = moment_value(element.get_attribute("type") or "", text)
    element.fill(moment, timeout=WAIT)
    if not moment:
        element.type(text, timeout=WAIT)


def _select(element: ElementHandle, arguments: Mapping[str, str]) -> None:
    element.select_option(label=str(arguments.get("option", "")), timeout=WAIT)


_ACTIONS = {"click": _click, "type": _type, "select": _select}
