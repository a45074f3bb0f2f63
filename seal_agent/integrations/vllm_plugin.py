"""A LoRA resolver for `vllm serve`: adapters of a seal store by name.

    SEAL_HOME=… VLLM_ALLOW_RUNTIME_LORA_UPDATING=True vllm serve MODEL --enable-lora --max-lora-rank 32
    curl …/v1/chat/completions -d '{"model": "alice", …}'          # the active revision
    curl …/v1/chat/completions -d '{"model": "alice@3f0c…", …}'    # one revision

vLLM finds this by its entry point. Only folders of the store are read, and only those that were trained on the model
that is served.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import sys
import tempfile
import threading
import weakref
from pathlib import Path
from shutil import rmtree
from typing import Any

from vllm.lora.request import LoRARequest
from vllm.lora.resolver import LoRAResolver, LoRAResolverRegistry

from seal_agent.errors import SealError
from seal_agent.paths import default_home
from seal_agent.store.entries import check_usable
from seal_agent.store.ledger import Ledger
from seal_agent.store.names import check_name

NAME = "seal"
_SERVING = "vllm.entrypoints.openai.models.serving"
_log = logging.getLogger("vllm.seal")


def register() -> None:
    """What vLLM calls in each of its processes. Nothing is opened before an adapter is asked for."""
    LoRAResolverRegistry.register_resolver(NAME, SealResolver(default_home()))


class SealResolver(LoRAResolver):  # type: ignore[misc]
    """Resolves "adapter" (at its active revision) and "adapter@revision"."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._lock = threading.Lock()
        self._ledger: Ledger | None = None
        self._served: dict[str, str | None] = {}
        self._silent: dict[str, Path] = {}

    async def resolve_lora(self, base_model_name: str, lora_name: str) -> LoRARequest | None:
        """Where the weights are; None for a name that the store does not have. vLLM gives the request an id."""
        _follow_rollbacks(self)
        return await asyncio.to_thread(self._resolve, base_model_name, lora_name)

    def current(self, name: str) -> str | None:
        """The revision that a name without one stands for now, as vLLM knows it; None if the store has no such name."""
        try:
            adapter = check_name(name)
            ledger = self._store()
            if ledger is None or adapter not in ledger.adapters():
                return None
            return f"{adapter}@{ledger.active(adapter) or 'base'}"
        except SealError:
            return None

    def _resolve(self, base_model_name: str, name: str) -> LoRARequest | None:
        try:
            full = name if "@" in name else self.current(name)
            folder = self._folder(full) if full else None
            if full is None or folder is None:
                return None
            self._check_base(base_model_name, folder)
        except SealError as err:
            _log.warning("%s", err)
            return None
        number = int(hashlib.sha256(full.encode()).hexdigest()[:7], 16) + 1
        return LoRARequest(full, number, str(folder), base_model_name=base_model_name)

    def _store(self) -> Ledger | None:
        """The store, if there is one. It is not made: a server only reads."""
        with self._lock:
            if self._ledger is None and (self._home / "ledger.sqlite").is_file():
                self._ledger = Ledger(self._home)
            return self._ledger

    def _folder(self, full: str) -> Path | None:
        """The folder of `adapter@revision`.

        Raises AdapterError for a revision that may not answer: one in quarantine may, since it is named in full.
        """
        name, _, revision = full.partition("@")
        ledger = self._store()
        if ledger is None:
            return None
        adapter = check_name(name)
        if revision == "base":
            return self._silent_folder(adapter, ledger)
        entry = ledger.entry(revision)
        if entry.revision.adapter != adapter:
            return None
        check_usable(entry.revision, named=True)
        return ledger.adapters_folder / entry.folder

    def _silent_folder(self, adapter: str, ledger: Ledger) -> Path | None:
        """Weights that change nothing, for an adapter that was rolled back to the base model."""
        from seal_agent.lora.adapter import LoraAdapter, LoraPair
        from seal_agent.lora.peft_files import read_peft, write_peft

        if adapter not in self._silent and (history := ledger.history(adapter)):
            former, identity = read_peft(ledger.adapters_folder / ledger.folder(history[0].id))
            pairs = {name: LoraPair(p.a_DR[:, :1] * 0, p.b_RO[:1] * 0) for name, p in former.pairs.items()}
            folder = Path(tempfile.mkdtemp(prefix="seal-vllm-base-"))
            weakref.finalize(self, rmtree, folder, True)
            write_peft(LoraAdapter(1, 1.0, pairs, former.transposed), adapter, identity or "", folder)
            self._silent[adapter] = folder
        return self._silent.get(adapter)

    def _check_base(self, model: str, folder: Path) -> None:
        """Raises AdapterError for an adapter of another model than the one that is served."""
        from seal_agent.base_model.loading import identity_of_source
        from seal_agent.errors import AdapterError
        from seal_agent.lora.peft_files import base_identity_of

        if model not in self._served:
            try:
                self._served[model] = identity_of_source(model)
            except Exception as err:  # an architecture that transformers cannot build: vLLM's own checks remain
                _log.warning("cannot tell whether adapters belong to %s (%s)", model, err)
                self._served[model] = None
        identity, made_for = self._served[model], base_identity_of(folder)
        ledger = self._store()
        former = ledger.former_identities(identity) if ledger and identity else frozenset()
        if identity and made_for and made_for != identity and made_for not in former:
            raise AdapterError(
                f"the adapter in {folder.name[:12]} was trained on another base model than {model}; serve that one"
            )


# ---------------------------------------------------------------- rollbacks


class _ActiveNames(dict[str, LoRARequest]):
    """vLLM's table of loaded adapters, in which a name of the store counts only while it stands for the same revision.

    vLLM resolves a name once and keeps the answer, also after the adapter has learnt more or was rolled back.
    """

    resolver: SealResolver

    def __contains__(self, name: object) -> bool:
        if not super().__contains__(name):
            return False
        if not isinstance(name, str) or "@" in name or not self[name].lora_name.startswith(f"{name}@"):
            return True
        return self.resolver.current(name) == str(self[name].lora_name)


def _follow_rollbacks(resolver: SealResolver) -> None:
    """Let vLLM's server ask again for names whose revision has changed."""
    serving: Any = sys.modules.get(_SERVING)
    if serving is None or isinstance(vars(serving.OpenAIServingModels).get("lora_requests"), property):
        return

    def get(models: Any) -> _ActiveNames:
        held = models.__dict__["lora_requests"]
        if not isinstance(held, _ActiveNames):
            models.__dict__["lora_requests"] = held = _ActiveNames(held)
            held.resolver = resolver
        return held

    def put(models: Any, requests: dict[str, LoRARequest]) -> None:
        models.__dict__["lora_requests"] = requests

    serving.OpenAIServingModels.lora_requests = property(get, put)
