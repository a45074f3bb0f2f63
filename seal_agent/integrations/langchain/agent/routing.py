"""The adapter of a run: whose it is, and how a chat model is told to answer with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from langchain.agents.middleware import ModelRequest
from langchain_core.runnables import RunnableConfig
from langgraph.config import get_config
from langgraph.runtime import Runtime

from seal_agent.errors import InputError
from seal_agent.integrations.namespaces import adapter_for, check_namespace, namespace_for
from seal_agent.store.namespaces import DEFAULT

if TYPE_CHECKING:
    from seal_agent.model import SelfAdaptingModel


class RunAdapter:
    """Finds the adapter that a namespace denotes in each run. Raises InputError for an unusable namespace."""

    def __init__(self, model: SelfAdaptingModel, namespace: Sequence[str]) -> None:
        check_namespace(namespace)
        self._model, self._namespace = model, tuple(namespace)
        self._claimed: set[str] = set()

    def name(self, runtime: Runtime[Any]) -> str:
        """The adapter's name in the whole store, which the store is told belongs to the run's namespace."""
        adapter = adapter_for(self._namespace, runtime.context, run_config())
        if adapter not in self._claimed and (parts := namespace_for(self._namespace, runtime.context, run_config())):
            self._model.ledger.claim(adapter, parts, DEFAULT)
            self._claimed.add(adapter)
        return adapter

    def route(self, request: ModelRequest[Any], adapter: str) -> ModelRequest[Any]:
        """The request with the adapter as a model setting; as it is where the adapter has learnt nothing yet.

        Raises InputError where the run's config asks for another adapter.
        """
        # ChatSeal prefers the config's adapter to any other, so a name there could be another user's adapter.
        chosen = (run_config().get("configurable") or {}).get("adapter", adapter)
        if chosen != adapter:
            raise InputError(
                f"the run's config asks for adapter {chosen!r}, but its user's is {adapter!r}; leave adapter out of "
                "the config, or make the middleware with route=False"
            )
        if adapter not in self._model.adapters():
            return request
        return request.override(model_settings={**request.model_settings, "adapter": adapter})


def run_config() -> RunnableConfig:
    """The current run's config; empty outside a run."""
    try:
        return get_config()
    except RuntimeError:
        return {}
