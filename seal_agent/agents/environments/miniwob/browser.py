"""A headless Chromium with one page, without any network, that every thread may use."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from seal_agent.errors import MissingDependency, SealError, first_line

if TYPE_CHECKING:
    from playwright.sync_api import Page

Result = TypeVar("Result")

INSTALL = "pip install 'seal-agent[agents]'"
VIEW = (160, 210)  # pixels; the size that MiniWoB++'s pages are drawn for
_PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
# No name is resolved and no address reached, whatever a page asks for; `offline` refuses what is left.
_FLAGS = ("--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND", "--disable-background-networking")


def find_chromium() -> str:
    """The path of an installed Chromium. Raises MissingDependency with the line that installs it."""
    for program in _PROGRAMS:
        if path := shutil.which(program):
            return path
    raise MissingDependency("the environment miniwob needs Chromium; install it with: apt install chromium")


def find_pages() -> Path:
    """The folder of MiniWoB++'s pages, without importing its package. Raises MissingDependency."""
    spec = importlib.util.find_spec("miniwob")
    if spec is None or not spec.submodule_search_locations:
        raise MissingDependency(f"the environment miniwob needs the package miniwob: {INSTALL}")
    return Path(spec.submodule_search_locations[0]) / "html"


def check_playwright() -> None:
    """Raises MissingDependency where Playwright is not installed."""
    if importlib.util.find_spec("playwright") is None:
        raise MissingDependency(f"the environment miniwob needs the package playwright: {INSTALL}")


class Browser:
    """Playwright's objects belong to the thread that made them, so a thread of the browser's own does all the work."""

    def __init__(self, script: Path) -> None:
        """Start Chromium. Every page runs `script` before its own. Raises SealError where it does not start."""
        self._thread = ThreadPoolExecutor(1, "chromium")
        try:
            self._page, self._stop = self._thread.submit(_launch, find_chromium(), script).result()
        except Exception as err:
            self._thread.shutdown()
            if isinstance(err, SealError):
                raise
            raise SealError(f"Chromium did not start: {first_line(err)}; try it by hand: chromium --headless") from err

    def run(self, work: Callable[[Page], Result]) -> Result:
        """Do something with the page, on the browser's thread."""
        return self._thread.submit(work, self._page).result()

    def close(self) -> None:
        self._thread.submit(self._stop).result()
        self._thread.shutdown()


def _launch(program: str, script: Path) -> tuple[Page, Callable[[], None]]:
    """The page, and what stops the browser."""
    from playwright.sync_api import sync_playwright

    playwright = sync_playwright().start()
    try:
        # Chromium refuses to run as root, as in a container, unless its sandbox is off; the pages are local files.
        flags = [*_FLAGS, "--no-sandbox"] if getattr(os, "geteuid", lambda: 1)() == 0 else list(_FLAGS)
        browser = playwright.chromium.launch(executable_path=program, args=flags)
        context = browser.new_context(offline=True, viewport={"width": VIEW[0], "height": VIEW[1]})
        context.add_init_script(path=script)
        page = context.new_page()
    except BaseException:
        playwright.stop()
        raise

    def stop() -> None:
        browser.close()
        playwright.stop()

    return page, stop
