"""The models behind ChatSeal, loaded on first use and shared by the process; and which adapter answers a call."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from seal_agent.errors import AdapterError, InputError

if TYPE_CHECKING:
    from seal_agent.base_model.model import BaseModel
    from seal_agent.generation.engine import Engine
    from seal_agent.lora.adapter import LoraAdapter
    from seal_agent.model import SelfAdaptingModel

_lock = threading.Lock()
_base_models: dict[tuple[str, str, str], BaseModel] = {}
_engines: dict[tuple[str, str, str, str, str | None], Engine] = {}
_models: dict[tuple[str, str, str, str, str | None, Path], SelfAdaptingModel] = {}


@dataclass(frozen=True, slots=True)
class AdapterInUse:
    """What answers a call: an adapter at one revision, or the base model (`revision` and `weights` are None)."""

    adapter: str | None
    revision: str | None
    weights: LoraAdapter | None


def shared_model(
    model: str, home: str | Path | None, device: str, dtype: str, engine: str = "hf", server: str | None = None
) -> SelfAdaptingModel:
    """The process's one model for these arguments. Models that differ only in `home` share the base model's weights.

    They share the engine too, so that vLLM is started once.
    """
    from seal_agent.base_model.loading import load_model, resolve
    from seal_agent.config import VLLMConfig
    from seal_agent.generation.engines import check_engine, make_engine
    from seal_agent.model import SelfAdaptingModel
    from seal_agent.paths import default_home

    folder, vllm = Path(home).expanduser() if home is not None else default_home(), VLLMConfig(server=server)
    check_engine(engine, vllm)
    with _lock:
        base_key = (resolve(model), device, dtype)
        engine_key = (*base_key, engine, server)
        model_key = (*engine_key, folder.resolve())
        if model_key not in _models:
            if base_key not in _base_models:
                _base_models[base_key] = load_model(model, device=device, dtype=dtype)
            if engine_key not in _engines:
                _engines[engine_key] = make_engine(_base_models[base_key], engine, vllm)
            _models[model_key] = SelfAdaptingModel(_base_models[base_key], home=folder, engine=_engines[engine_key])
        return _models[model_key]


def active_revision(seal: SelfAdaptingModel, adapter: str | None) -> str | None:
    """The adapter's active revision; None for the base model. Raises InputError for an invalid name."""
    if adapter is not None and not isinstance(adapter, str):
        raise InputError(f"adapter is a name, or None for the base model, but it is {adapter!r}")
    return None if adapter is None else seal.ledger.active(seal.full_name(adapter))


def adapter_in_use(seal: SelfAdaptingModel, adapter: str | None, revision: str | None) -> AdapterInUse:
    """The weights for a call that began while `revision` was active. Raises AdapterError for an unknown adapter.

    If that revision has been forgotten since, the revision that is active now answers.
    """
    if adapter is None or revision is None:
        if adapter is not None:
            _check_exists(seal, adapter)
        return AdapterInUse(adapter, None, None)
    try:
        return AdapterInUse(adapter, revision, seal.weights_of(revision))
    except AdapterError:
        active = active_revision(seal, adapter)
        if active == revision:
            raise
        return adapter_in_use(seal, adapter, active)


def _check_exists(seal: SelfAdaptingModel, adapter: str) -> None:
    """Raises AdapterError for an adapter that was never trained, except "default", which begins as the base model.

    An adapter that was rolled back to the base model exists.
    """
    from seal_agent.adaptation.stored_adapters import DEFAULT_ADAPTER

    if adapter != DEFAULT_ADAPTER:
        seal.ledger.check_known(seal.full_name(adapter))
