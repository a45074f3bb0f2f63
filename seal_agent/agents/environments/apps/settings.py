"""Settings on a few pages; a change counts at once."""

from __future__ import annotations

from collections.abc import Mapping

from seal_agent.agents.environments.apps.app import Beginning, Effect
from seal_agent.agents.environments.apps.screen import Field, Kind, Screen, kind_of

RESTORE = "Restore defaults"


class Settings:
    """World: {"pages": {page: {setting: kind}}}. Start: {"page"}. State: the value of every setting."""

    def __init__(self, beginning: Beginning) -> None:
        rng = beginning.rng
        self._kinds: dict[str, dict[str, Kind]] = {}
        for page, rows in beginning.world["pages"].items():
            names = rng.sample(list(rows), len(rows))
            self._kinds[page] = {name: kind_of(rows[name]) for name in names}
        self._page: str = beginning.start["page"]
        self._values = {
            name: kind.draw(rng, [beginning.target.get(name, "")])
            for kinds in self._kinds.values()
            for name, kind in kinds.items()
        }

    def screen(self) -> Screen:
        return Screen(
            f"Settings, page {self._page}",
            fields=tuple(Field(name, self._values[name], kind) for name, kind in self._kinds[self._page].items()),
            links=tuple(page for page in self._kinds if page != self._page),
            buttons=(RESTORE,),
        )

    def opened(self, name: str) -> None:
        self._page = name

    def changed(self, name: str, value: str) -> None:
        self._values[name] = value

    def pressed(self, name: str) -> Effect:
        for setting, kind in self._kinds[self._page].items():
            self._values[setting] = kind.first
        return Effect(f"The defaults of {self._page} were restored.")

    def state(self) -> Mapping[str, str]:
        return dict(self._values)
