"""Which weights a request's `model` names, and the list of models."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from seal_agent.adaptation.stored_adapters import DEFAULT_ADAPTER
from seal_agent.base_model.loading import hub_name
from seal_agent.errors import AdapterError, InputError
from seal_agent.integrations.server.errors import ApiError
from seal_agent.store.entries import check_usable
from seal_agent.store.names import check_name

if TYPE_CHECKING:
    from seal_agent.base_model.model import BaseModel
    from seal_agent.lora.adapter import LoraAdapter
    from seal_agent.model import SelfAdaptingModel

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
        if base_name in seal.adapters():
            raise InputError(f"an adapter is called {base_name!r}, like the base model; give that another with --name")

    def find(self, model: str) -> Served:
        """Raises ApiError for a name that nothing has."""
        if model == self.base_name:
            return Served(model)
        name, at, revision = model.partition("@")
        try:
            check_name(name)
            if not at:
                self._seal.ledger.check_known(name)
                active = self._seal.ledger.active(name)
                return Served(model, active, self._seal.adapter(name))
            recorded = self._seal.ledger.get(revision)
            if recorded.adapter != name:
                raise AdapterError(f"adapter {name!r} has no revision {revision!r}")
            check_usable(recorded, named=True)
            return Served(model, revision, self._seal.weights_of(revision))
        except (AdapterError, InputError):
            raise ApiError(
                404,
                f"there is no model {model!r:.80}; GET /v1/models lists them",
                code="model_not_found",
                param="model",
            ) from None

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
