"""The ledger as a namespace's handle shows it: what is its own can be read, and nothing else can be reached."""

from __future__ import annotations

from collections.abc import Callable

from seal_agent.errors import AdapterError
from seal_agent.store.database import Database
from seal_agent.store.entries import Entry
from seal_agent.store.ledger import Ledger
from seal_agent.types import Forgotten, Revision


class NamespacedLedger(Ledger):
    """Reads the adapters of one namespace. Every other method, and the database itself, is refused.

    Args:
        whole: The ledger of the whole store.
        owns: Whether an adapter, by its full name, belongs to the namespace.
    """

    def __init__(self, whole: Ledger, owns: Callable[[str], bool]) -> None:
        self.path = whole.path
        self.__whole, self.__owns = whole, owns

    @property
    def database(self) -> Database:  # type: ignore[override]
        """Raises AdapterError: whatever is not read below would go through it."""
        raise AdapterError(
            "a namespace's handle reads its own adapters alone; use the model that was opened without a namespace"
        )

    def active(self, adapter: str) -> str | None:
        return self.__whole.active(self.__checked(adapter))

    def find(self, adapter: str, proposal: str) -> list[Revision]:
        return self.__whole.find(self.__checked(adapter), proposal)

    def history(self, adapter: str) -> list[Revision]:
        return self.__whole.history(self.__checked(adapter))

    def forgotten(self, adapter: str) -> list[Forgotten]:
        return self.__whole.forgotten(self.__checked(adapter))

    def is_known(self, adapter: str) -> bool:
        return self.__owns(adapter) and self.__whole.is_known(adapter)

    def adapters(self) -> dict[str, str | None]:
        return {name: revision for name, revision in self.__whole.adapters().items() if self.__owns(name)}

    def names(self) -> list[str]:
        return [name for name in self.__whole.names() if self.__owns(name)]

    def entry(self, revision: str) -> Entry:
        if not self.__owns_revision(revision):
            raise AdapterError(f"there is no revision {revision!r}; `seal history` lists them")
        return self.__whole.entry(revision)

    def exists(self, revision: str) -> bool:
        return self.__whole.exists(revision) and self.__owns_revision(revision)

    def __owns_revision(self, revision: str) -> bool:
        adapter = self.__whole.adapter_of(revision)
        return adapter is not None and self.__owns(adapter)

    def __checked(self, adapter: str) -> str:
        if not self.__owns(adapter):
            raise AdapterError(f"there is no adapter {adapter!r} in this namespace")
        return adapter
