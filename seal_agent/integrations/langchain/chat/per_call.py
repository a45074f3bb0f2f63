"""The adapter of one call: from LangChain's config into the call's keywords, on every way in.

LangChain keeps the config from `_generate`, and what `_generate` would look up by itself is not in the cache's key.
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
    """A chat model whose `adapter` is config["configurable"]["adapter"] where the config names one."""

    adapter: str | None = None
    """The stored adapter that speaks, at its active revision; None is the base model."""

    @abstractmethod
    def _pinned(self, kwargs: Keywords) -> Keywords:
        """A call's keywords with the revision that is active now."""

    def invoke(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        return super().invoke(input, config, stop=stop, **self._pinned(chosen(config, kwargs)))

    async def ainvoke(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        keywords = await run_in_executor(None, self._pinned, chosen(config, kwargs))
        return await super().ainvoke(input, config, stop=stop, **keywords)

    def stream(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> Iterator[AIMessageChunk]:
        return super().stream(input, config, stop=stop, **chosen(config, kwargs))

    def astream(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[AIMessageChunk]:
        return super().astream(input, config, stop=stop, **chosen(config, kwargs))

    def stream_events(self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        return super().stream_events(input, config, **chosen(config, kwargs))

    def astream_events(self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        return super().astream_events(input, config, **chosen(config, kwargs))

    def with_config(
        self, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        # bind_tools and with_structured_output behind it would drop the config, so the model takes the adapter too.
        settings = {**(config or {}), **kwargs}.get("configurable") or {}
        speaker = self.model_copy(update={"adapter": settings["adapter"]}) if "adapter" in settings else self
        return super(AdapterPerCall, speaker).with_config(config, **kwargs)


def chosen(config: RunnableConfig | None, kwargs: Keywords) -> Keywords:
    """The call's keywords with the config's adapter, if it names one."""
    settings = ensure_config(config).get("configurable") or {}
    return {**kwargs, "adapter": settings["adapter"]} if "adapter" in settings else kwargs
