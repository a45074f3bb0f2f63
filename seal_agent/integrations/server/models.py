"""Which weights a request's `model` names, and the list of models."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from seal_agent.adaptation.stored_adapters import DEFAULT_ADAPTER
from seal_agent.base_model.loading import hub_name
from seal_agent.errors import AdapterError, InputError, StoreError
from seal_agent.integrations.reasons import without_paths
from seal_agent.integrations.server.errors import ApiError

if TYPE_CHECKING:
    from seal_agent.base_model.model import BaseModel
    from seal_agent.lora.adapter import LoraAdapter
    from seal_agent.model import SelfAdaptingModel

_log = logging.getLogger(__name__)
_OWNER = "seal-agent"


@dataclass(frozen=True, slots=True)
class Served:
    """What answers a request: `weights` is None for the base model."""

    name: str
    revision: str | None = None
    weights: LoraAdapter | None = None


def public_name(base: BaseModel) -> str:
    """What clients call the base model: the last part of its own name, or of its hub id where it is bundled.

    Never "default", which is what an adapter is called that nobody named.
    """
    name = PurePath(hub_name(base.name)).name
    return "base" if name == DEFAULT_ADAPTER else name


class Models:
    """The base model under one name, and the store's adapters under theirs, "alice" or "alice@REVISION"."""

    def __init__(self, seal: SelfAdaptingModel, base_name: str, created: int) -> None:
        self.base_name = base_name
        self._seal, self._created = seal, created
        if seal.namespace:
            raise InputError("a server answers with all adapters of a store; give it the model itself, not a handle")
        if base_name in seal.adapters():
            raise InputError(f"an adapter is called {base_name!r}, like the base model; give that another with --name")

    def find(self, model: str) -> Served:
        """Raises ApiError for a name that nothing has, and for a model that cannot answer."""
        if model == self.base_name:
            return Served(model)
        name, at, revision = model.partition("@")
        try:
            if not at:
                return self._adapter(name)
            return self._revision(name, revision)
        except (AdapterError, StoreError) as err:
            _log.error("model %.80r cannot answer: %s", model, err)
            reason = without_paths(err, self._seal.home)
            raise ApiError(
                409 if isinstance(err, AdapterError) else 503,
                f"model {model!r:.80} cannot answer: {reason}",
                code="model_not_usable",
                param="model",
            ) from err

    def _adapter(self, name: str) -> Served:
        """An adapter as it is in use. Raises ApiError where there is none, AdapterError where it cannot be loaded."""
        if not self._seal.ledger.is_known(name):
            raise _unknown(name)
        active = self._seal.ledger.active(name)
        return Served(name, active, self._seal.adapter(name))

    def _revision(self, name: str, revision: str) -> Served:
        """One revision of an adapter. Raises ApiError, AdapterError as `_adapter` does."""
        model = f"{name}@{revision}"
        recorded = self._seal.ledger.get(revision) if self._seal.ledger.exists(revision) else None
        if recorded is None or recorded.adapter != name:
            raise _unknown(model)
        if recorded.status not in ("active", "quarantined"):
            raise ApiError(
                409,
                f"model {model!r:.80} is {recorded.status} and does not answer; name another revision",
                code="model_not_usable",
                param="model",
            )
        return Served(model, revision, self._seal.weights_of(revision))

    def all(self) -> list[dict[str, Any]]:
        """The base model and each adapter that has a revision in use, as vLLM lists them."""
        rows = [self._row(self.base_name, self.base_name, None, self._created)]
        for name, active in self._seal.adapters().items():
            revision = self._seal.ledger.get(active) if active else None
            created = int(datetime.fromisoformat(revision.created).timestamp()) if revision else self._created
            root = f"{name}@{active}" if active else self.base_name
            rows.append(self._row(name, root, self.base_name, created))
        return rows

    def one(self, model: str) -> dict[str, Any]:
        """Raises ApiError for a name that nothing has."""
        for row in self.all():
            if row["id"] == model:
                return row
        served = self.find(model)
        return self._row(served.name, served.name, self.base_name, self._created)

    def _row(self, id_: str, root: str, parent: str | None, created: int) -> dict[str, Any]:
        return {
            "id": id_,
            "object": "model",
            "created": created,
            "owned_by": _OWNER,
            "root": root,
            "parent": parent,
            "max_model_len": self._seal.base.window,
        }


def _unknown(model: str) -> ApiError:
    return ApiError(
        404, f"there is no model {model!r:.80}; GET /v1/models lists them", code="model_not_found", param="model"
    )
