"""The adapter of one call, copied from LangChain's config into the call's keywords at every entry point.

LangChain does not pass the config to `_generate`, and anything that `_generate` looked up itself would be missing from
the cache's key.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator, Iterator
from typing import Any

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import ensure_config, run_in_executor

Keywords = dict[str, Any]


class AdapterPerCall(BaseChatModel):
    """A chat model whose `adapter` can be set per call, by config["configurable"]["adapter"]."""

    adapter: str | None = None
    """The stored adapter that answers, at its active revision; None is the base model."""

    @abstractmethod
    def _pin_revision(self, kwargs: Keywords) -> Keywords:
        """The call's keywords with the adapter's active revision."""

    def invoke(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        return super().invoke(input, config, stop=stop, **self._pin_revision(with_adapter(config, kwargs)))

    async def ainvoke(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        keywords = await run_in_executor(None, self._pin_revision, with_adapter(config, kwargs))
        return await super().ainvoke(input, config, stop=stop, **keywords)

    def stream(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> Iterator[AIMessageChunk]:
        return super().stream(input, config, stop=stop, **with_adapter(config, kwargs))

    def astream(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[AIMessageChunk]:
        return super().astream(input, config, stop=stop, **with_adapter(config, kwargs))

    def stream_events(self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        return super().stream_events(input, config, **with_adapter(config, kwargs))

    def astream_events(self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        return super().astream_events(input, config, **with_adapter(config, kwargs))

    def with_config(
        self, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        # A later bind_tools or with_structured_output would drop the config, so the model itself takes the adapter too.
        settings = {**(config or {}), **kwargs}.get("configurable") or {}
        model = self.model_copy(update={"adapter": settings["adapter"]}) if "adapter" in settings else self
        return super(AdapterPerCall, model).with_config(config, **kwargs)


def with_adapter(config: RunnableConfig | None, kwargs: Keywords) -> Keywords:
    """The call's keywords with the config's adapter, if the config names one."""
    settings = ensure_config(config).get("configurable") or {}
    return {**kwargs, "adapter": settings["adapter"]} if "adapter" in settings else kwargs
