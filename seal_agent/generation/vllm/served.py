"""Adapters that vLLM has: each under a name of its own, those used longest ago are dropped."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from seal_agent.base_model.model import BaseModel
from seal_agent.generation.vllm.requests import Backend, ServedAdapter
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.lora.peft_files import write_peft

_MEMORY = Path("/dev/shm")
_MARGIN = 4  # adapters that must fit into it, for it to be used


@dataclass(slots=True)
class _Entry:
    adapter: weakref.ref[LoraAdapter]
    served: ServedAdapter
    generation: int
    users: int = 0


class ServedAdapters:
    """Puts adapters within vLLM's reach as they are needed, and takes them away again.

    A folder of weights is written when an adapter is first asked, and removed when vLLM drops it. No name is used
    twice: vLLM tells requests apart by the adapter's name, and its prefix cache would answer with former weights.

    Args:
        check: Called with every adapter that was just loaded; raises AdapterError where vLLM does not use it.
        parent: Where the folders are put; default: in memory, or where temporary files are.
    """

    def __init__(
        self,
        base: BaseModel,
        backend: Backend,
        check: Callable[[LoraAdapter, ServedAdapter], None],
        parent: Path | None = None,
    ) -> None:
        self._base, self._backend, self._check = base, backend, check
        self._entries: OrderedDict[int, _Entry] = OrderedDict()
        self._lock = threading.RLock()
        self._numbers = count(1)
        self._prefix = f"seal-{secrets.token_hex(4)}"  # other processes may use the same server
        self._root: Path | None = None
        self._parent = parent

    @contextmanager
    def ready(self, adapters: Sequence[LoraAdapter | None]) -> Iterator[list[ServedAdapter | None]]:
        """All of these adapters loaded, for as long as the block runs. Raises AdapterError, EngineError."""
        with self._lock:
            self._drop_orphans()
            used: list[_Entry] = []
            found: dict[int, ServedAdapter] = {}
            try:
                for adapter in adapters:
                    if adapter is not None and id(adapter) not in found:
                        entry = self._entry(adapter)
                        entry.users += 1
                        used.append(entry)
                        found[id(adapter)] = entry.served
            except BaseException:
                self._release(used)
                raise
        try:
            yield [None if adapter is None else found[id(adapter)] for adapter in adapters]
        finally:
            with self._lock:
                self._release(used)

    def close(self) -> None:
        """Remove every folder. vLLM itself may be gone already."""
        with self._lock:
            self._entries.clear()
            if self._root:
                shutil.rmtree(self._root, ignore_errors=True)
                self._root = None

    def __len__(self) -> int:
        return len(self._entries)

    def _entry(self, adapter: LoraAdapter) -> _Entry:
        generation, entry = self._backend.generation(), self._entries.get(id(adapter))
        if entry and entry.adapter() is adapter and entry.generation == generation:
            self._entries.move_to_end(id(adapter))
            return entry
        if entry:
            self._drop(id(adapter))
        self._make_room()
        served = self._write(adapter)
        try:
            self._backend.load(served)
            self._check(adapter, served)
        except BaseException:
            self._backend.unload(served)
            shutil.rmtree(served.folder, ignore_errors=True)
            raise
        entry = _Entry(weakref.ref(adapter), served, self._backend.generation())
        self._entries[id(adapter)] = entry
        return entry

    def _write(self, adapter: LoraAdapter) -> ServedAdapter:
        number = next(self._numbers)
        folder = self._folder(adapter) / str(number)
        write_peft(adapter, self._base.source or self._base.name, self._base.identity, folder)
        return ServedAdapter(f"{self._prefix}-{number}", number, folder, adapter.rank)

    def _folder(self, adapter: LoraAdapter) -> Path:
        """The folder of all adapters: in memory if some of this size fit there, else on disk."""
        if self._root is None:
            needed = 4 * adapter.parameters * (self._backend.max_adapters + _MARGIN)
            parent = self._parent or (_MEMORY if _has_room(_MEMORY, needed) else None)
            if parent:
                parent.mkdir(parents=True, exist_ok=True)
            self._root = Path(tempfile.mkdtemp(prefix="seal-vllm-", dir=parent))
            weakref.finalize(self, shutil.rmtree, self._root, True)
        return self._root

    def _make_room(self) -> None:
        """Drop what was used longest ago, until one more fits; what is in use stays."""
        idle = [key for key, entry in self._entries.items() if not entry.users]
        for key in idle[: max(0, len(self._entries) + 1 - self._backend.max_adapters)]:
            self._drop(key)

    def _drop_orphans(self) -> None:
        """Drop adapters that exist nowhere else any more."""
        for key in [key for key, entry in self._entries.items() if entry.adapter() is None and not entry.users]:
            self._drop(key)

    def _drop(self, key: int) -> None:
        entry = self._entries.pop(key)
        if entry.generation == self._backend.generation():
            self._backend.unload(entry.served)
        shutil.rmtree(entry.served.folder, ignore_errors=True)

    @staticmethod
    def _release(entries: Sequence[_Entry]) -> None:
        for entry in entries:
            entry.users -= 1


def _has_room(folder: Path, needed: int) -> bool:
    return folder.is_dir() and os.access(folder, os.W_OK) and shutil.disk_usage(folder).free > needed
