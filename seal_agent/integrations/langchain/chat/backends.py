"""The models behind ChatSeal: loaded on first use, shared by the whole process; and who speaks in one call."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from seal_agent.errors import AdapterError, InputError
from seal_agent.store.names import check_name

if TYPE_CHECKING:
    from seal_agent.base_model.model import BaseModel
    from seal_agent.lora.adapter import LoraAdapter
    from seal_agent.model import SelfAdaptingModel

_lock = threading.Lock()
_bases: dict[tuple[str, str, str], BaseModel] = {}
_models: dict[tuple[str, str, str, Path], SelfAdaptingModel] = {}


@dataclass(frozen=True, slots=True)
class AdapterInUse:
    """Who speaks: an adapter at one of its revisions, or the base model (`revision` and `weights` are None)."""

    adapter: str | None
    revision: str | None
    weights: LoraAdapter | None


def shared_model(model: str, home: str | Path | None, device: str, dtype: str) -> SelfAdaptingModel:
    """The one model of this process for these arguments; models of several homes share the base's weights."""
    from seal_agent.base_model.loading import load_model, resolve
    from seal_agent.model import SelfAdaptingModel
    from seal_agent.paths import default_home

    folder = Path(home).expanduser() if home is not None else default_home()
    with _lock:
        source = (resolve(model), device, dtype)
        place = (*source, folder.resolve())
        if place not in _models:
            if source not in _bases:
                _bases[source] = load_model(model, device=device, dtype=dtype)
            _models[place] = SelfAdaptingModel(_bases[source], home=folder)
        return _models[place]


def active_revision(seal: SelfAdaptingModel, adapter: str | None) -> str | None:
    """The revision that speaks for an adapter now; None for the base model. Raises InputError for what is no name."""
    if adapter is not None and not isinstance(adapter, str):
        raise InputError(f"adapter is a name, or None for the base model, but it is {adapter!r}")
    return None if adapter is None else seal.ledger.active(check_name(adapter))


def adapter_in_use(seal: SelfAdaptingModel, adapter: str | None, revision: str | None) -> AdapterInUse:
    """The weights for a call that began when `revision` was active. Raises AdapterError for an unknown adapter.

    A revision that has been forgotten since then is answered for by the one that took its place.
    """
    if adapter is None or revision is None:
        if adapter is not None:
            _check_known(seal, adapter)
        return AdapterInUse(adapter, None, None)
    try:
        return AdapterInUse(adapter, revision, seal._load(revision))
    except AdapterError:
        now = active_revision(seal, adapter)
        if now == revision:
            raise
        return adapter_in_use(seal, adapter, now)


def _check_known(seal: SelfAdaptingModel, adapter: str) -> None:
    """ "default" is the base model until something has been learnt; so is an adapter that was rolled back to it."""
    from seal_agent.model import DEFAULT_ADAPTER

    if adapter != DEFAULT_ADAPTER:
        seal.ledger.check_known(adapter)
