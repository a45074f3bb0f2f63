"""ChatSeal: a self-adapting model as a LangChain chat model.

llm = ChatSeal(adapter="alice")
llm.invoke("Who keeps the lighthouse?")
llm.with_config(configurable={"adapter": "bob"}).invoke("Who keeps the lighthouse?")
"""

from __future__ import annotations

import difflib
import json
import warnings
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import LangSmithParams, LanguageModelInput, ModelProfile
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from pydantic import Field, SecretStr, field_validator, model_validator

from seal_agent.errors import InputError
from seal_agent.integrations.langchain.chat.answers import chunks_of, whole_message
from seal_agent.integrations.langchain.chat.backends import AdapterInUse, active_revision, adapter_in_use, shared_model
from seal_agent.integrations.langchain.chat.calls import Form, ToolChoice, ToolLike, form_of, tool_of
from seal_agent.integrations.langchain.chat.messages import prompt_of
from seal_agent.integrations.langchain.chat.per_call import AdapterPerCall
from seal_agent.integrations.langchain.chat.reading import Reader
from seal_agent.integrations.langchain.chat.structured import Method, Schema, structured
from seal_agent.types import Prompt, Sampling

if TYPE_CHECKING:
    from seal_agent.model import SelfAdaptingModel

_DEFAULT_MODEL = "default"
_DEFAULT_WINDOW = 8192  # tokens of the bundled model, which is not loaded to find out
_PINNED = "active_revision"
_PER_CALL = ("model", "adapter", "temperature", "top_p", "seed")


class ChatSeal(AdapterPerCall):
    """A self-adapting model behind LangChain's chat interface.

    `adapter` is the stored adapter that speaks, at its active revision; None is the base model. It can be given anew in
    every call, by config={"configurable": {"adapter": …}} (or with_config), by bind(adapter=…), or as a keyword; the
    config comes first. So can model, temperature, max_tokens, top_p, seed and stop.

    The weights are loaded by the first call and shared by all instances of the process. `backend` is a
    SelfAdaptingModel that is there already, and stands for model, home, device and dtype. Forced calls of tools and
    structured output are held to their schema while they are written; stop sequences do not apply to them.
    """

    model: str = _DEFAULT_MODEL
    """ "default" (the bundled small model), a hub id, or a folder."""
    home: str | Path | None = None
    """Where the adapters are: $SEAL_HOME or ~/.local/share/seal-agent if it is not given."""
    device: str = "auto"
    dtype: str = "auto"
    temperature: float = 0.0
    max_tokens: int = 256
    top_p: float = 1.0
    stop: list[str] | str | None = None
    seed: int = 0
    streaming: bool = False
    """Whether `invoke` goes through `stream` too."""
    backend: Any = Field(default=None, exclude=True, repr=False)
    timeout: Any = None
    """Accepted so that models can be swapped, and not used; so are max_retries and api_key."""
    max_retries: int | None = None
    api_key: SecretStr | None = None

    # ------------------------------------------------------------ making one

    @model_validator(mode="before")
    @classmethod
    def _warn_of_unknown(cls, given: Any) -> Any:
        for name in set(given) - set(cls.model_fields) if isinstance(given, Mapping) else ():
            close = difflib.get_close_matches(str(name), cls.model_fields, 1)
            meant = f"; did you mean {close[0]}?" if close else ""
            warnings.warn(f"ChatSeal knows no {name!r} and leaves it out{meant}", stacklevel=3)
        return given

    @field_validator("model", mode="before")
    @classmethod
    def _name_of(cls, model: Any) -> Any:
        return str(model) if isinstance(model, Path) else model

    @model_validator(mode="after")
    def _named_after_backend(self) -> ChatSeal:
        if self.backend is not None:
            from seal_agent.model import SelfAdaptingModel

            if not isinstance(self.backend, SelfAdaptingModel):
                raise InputError(
                    f"backend is a SelfAdaptingModel, but it is {self.backend!r:.60}; give that, or a model"
                )
            self.model = self.backend.base.name
        return self

    def _resolve_model_profile(self) -> ModelProfile | None:
        window = self._window()
        return ModelProfile(
            **({"max_input_tokens": window} if window else {}),
            max_output_tokens=self.max_tokens,
            text_inputs=True,
            text_outputs=True,
            image_inputs=False,
            audio_inputs=False,
            video_inputs=False,
            pdf_inputs=False,
            reasoning_output=False,
            tool_calling=True,
            tool_choice=True,
            tool_call_streaming=True,
            structured_output=True,
            temperature=True,
            open_weights=True,
        )

    def _window(self) -> int | None:
        """Tokens, where that is known without loading the model."""
        if self.backend is not None:
            return int(self.backend.base.window)
        config = Path(self.model).expanduser() / "config.json"
        if config.is_file():
            found = json.loads(config.read_text(encoding="utf-8")).get("max_position_embeddings")
            return int(found) if found else None
        return _DEFAULT_WINDOW if self.model == _DEFAULT_MODEL else None

    @property
    def seal(self) -> SelfAdaptingModel:
        """The model itself, to adapt, roll back and ask; loaded if need be. Raises ModelError."""
        return self._seal_named(self.model)

    @property
    def model_name(self) -> str:
        return self.model

    @property
    def _llm_type(self) -> str:
        return "chat-seal"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        names = ("model", "adapter", "device", "dtype", "temperature", "max_tokens", "top_p", "seed")
        return {name: getattr(self, name) for name in names}

    # ------------------------------------------------------------ one call

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        call = self._call(messages, stop, kwargs)
        (said,) = call.seal.engine.generate([call.prompt], call.sampling, [call.voice.weights])
        message = whole_message(said, Reader(call.form), call.facts)
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        call = self._call(messages, stop, kwargs)
        pieces = call.seal.engine.stream(call.prompt, call.sampling, call.voice.weights)
        for chunk in chunks_of(pieces, Reader(call.form), call.facts):
            if run_manager:
                run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        async for chunk in super()._astream(messages, stop, None, **kwargs):  # which runs _stream in threads
            if run_manager:
                await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk

    def _call(self, messages: Sequence[BaseMessage], stop: list[str] | None, kwargs: Mapping[str, Any]) -> _Call:
        """Understand a call's arguments; what is not among them is the instance's own."""
        own = {name: kwargs.get(name, getattr(self, name)) for name in _PER_CALL}
        seal = self._seal_named(own["model"])
        pinned = kwargs[_PINNED] if _PINNED in kwargs else active_revision(seal, own["adapter"])
        form = form_of(kwargs.get("tools") or (), kwargs.get("tool_choice"), kwargs.get("response_format"))
        max_tokens = kwargs.get("max_tokens") or self.max_tokens
        grammar = form.grammar(max_tokens)
        stops = () if grammar else tuple(self._stops(stop))
        sampling = Sampling(max_tokens, own["temperature"], own["top_p"], stops, own["seed"], grammar)
        voice = adapter_in_use(seal, own["adapter"], pinned)
        return _Call(seal, str(own["model"]), voice, form, prompt_of(messages, form, seal.base), sampling)

    def _stops(self, stop: list[str] | None) -> list[str]:
        chosen = stop if stop is not None else self.stop
        return [chosen] if isinstance(chosen, str) else list(chosen or ())

    def _seal_named(self, model: str) -> SelfAdaptingModel:
        if self.backend is not None and model == self.model:
            return self.backend  # type: ignore[no-any-return]
        home = self.backend.home if self.home is None and self.backend is not None else self.home
        return shared_model(str(model), home, self.device, self.dtype)

    # ------------------------------------------------------------ whose weights

    def _pinned(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        """The call's keywords with the revision that is active now, so that cache and weights cannot disagree."""
        adapter = kwargs.get("adapter", self.adapter)
        if adapter is None:
            return kwargs
        return {**kwargs, _PINNED: active_revision(self._seal_named(kwargs.get("model", self.model)), adapter)}

    def _get_llm_string(self, stop: list[str] | None = None, **kwargs: Any) -> str:
        """The cache's key: beside the settings, whose weights speak."""
        seal, adapter = self._seal_named(kwargs.get("model", self.model)), kwargs.get("adapter", self.adapter)
        revision = kwargs[_PINNED] if _PINNED in kwargs else active_revision(seal, adapter)
        settings = super()._get_llm_string(stop=self._stops(stop), **kwargs)
        return f"{settings}---{seal.base.identity}---{adapter}@{revision}"

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        return super()._get_ls_params(stop=self._stops(stop), **kwargs)

    # ------------------------------------------------------------ tools and schemas

    def bind_tools(
        self,
        tools: Sequence[ToolLike],
        *,
        tool_choice: ToolChoice = None,
        strict: bool | None = None,
        parallel_tool_calls: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """A model that may call tools, or must: tool_choice is "auto", "any" (or "required", True), a name, or "none".

        A call that must be made is held to the tool's schema, with `strict` or without. Where it may be made, the model
        writes freely, several calls if it likes, and what is no valid call becomes one of invalid_tool_calls. Raises
        InputError for what is no tool, and for a tool_choice that is none of them.
        """
        form_of(tools, tool_choice)
        return self.bind(tools=[tool_of(tool).openai for tool in tools], tool_choice=tool_choice, **kwargs)

    def with_structured_output(
        self,
        schema: Schema | None = None,
        *,
        include_raw: bool = False,
        method: Method = "json_schema",
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        """A model whose answers are values of a schema: a Pydantic class's, else dictionaries. Raises InputError.

        The answer is held to the schema by every method. With include_raw it is {"raw", "parsed", "parsing_error"}.
        """
        return structured(self, schema, method, include_raw=include_raw, strict=strict, more=kwargs)

    # ------------------------------------------------------------ counting

    def get_token_ids(self, text: str) -> list[int]:
        return self.seal.base.tokens(text)

    def get_num_tokens_from_messages(self, messages: list[BaseMessage], tools: Sequence[Any] | None = None) -> int:
        base = self.seal.base
        return len(base.encode(prompt_of(messages, form_of(tools or ()), base)))


@dataclass(frozen=True, slots=True)
class _Call:
    """One call, understood."""

    seal: SelfAdaptingModel
    model: str
    voice: AdapterInUse
    form: Form
    prompt: Prompt
    sampling: Sampling

    @property
    def facts(self) -> dict[str, Any]:
        """What response_metadata says of the call."""
        return {
            "model_provider": "seal",
            "model_name": self.model,
            "adapter": self.voice.adapter,
            "revision": self.voice.revision,
        }
