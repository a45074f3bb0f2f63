"""ChatSeal: a self-adapting model as a LangChain chat model.

llm = ChatSeal(adapter="alice")
llm.invoke("Who keeps the lighthouse?")
llm.with_config(configurable={"adapter": "bob"}).invoke("Who keeps the lighthouse?")
"""

from __future__ import annotations

import difflib
import json
import secrets
import warnings
from collections.abc import AsyncIterator, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import LangSmithParams, LanguageModelInput, ModelProfile
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from pydantic import Field, SecretStr, field_validator, model_validator

from seal_agent.config import AnswerStyle, EngineName
from seal_agent.errors import InputError
from seal_agent.generation.answer_form.form import Form
from seal_agent.generation.answer_form.reading import Reader
from seal_agent.integrations.langchain.chat.answers import chunks_of, whole_message
from seal_agent.integrations.langchain.chat.backends import AdapterInUse, active_revision, adapter_in_use, shared_model
from seal_agent.integrations.langchain.chat.calls import ToolChoice, ToolLike, form_of, tool_of
from seal_agent.integrations.langchain.chat.messages import prompt_of
from seal_agent.integrations.langchain.chat.per_call import AdapterPerCall
from seal_agent.integrations.langchain.chat.structured import Method, Schema, structured
from seal_agent.types import Completion, Prompt, Reply, Sampling

if TYPE_CHECKING:
    from seal_agent.model import SelfAdaptingModel

_DEFAULT_MODEL = "default"
_DEFAULT_WINDOW = 8192  # tokens; of the bundled model, so that it need not be loaded to find out
_REVISION = "active_revision"  # the keyword that pins a call to a revision
_PER_CALL = ("model", "adapter", "temperature", "top_p", "seed", "style")


class ChatSeal(AdapterPerCall):
    """A self-adapting model behind LangChain's chat interface.

    `adapter` is the stored adapter that answers, at its active revision; None is the base model. Each call can name
    another: by config={"configurable": {"adapter": …}} (or with_config), by bind(adapter=…), or as a keyword. The
    config comes first. bind and keywords can also set model, temperature, max_tokens, top_p, seed, style and stop.

    The first call loads the weights; all instances in the process share them. `backend` is a SelfAdaptingModel that
    exists already; it replaces model, home, device, dtype, engine and server. Forced tool calls and structured output
    are decoded under their schema, and stop sequences do not apply to them.
    """

    model: str = _DEFAULT_MODEL
    """ "default" (the bundled small model), a hub id, or a folder."""
    home: str | Path | None = None
    """The adapter store; default: $SEAL_HOME or ~/.local/share/seal-agent."""
    device: str = "auto"
    dtype: str = "auto"
    engine: EngineName = "hf"
    """What answers: "hf" (transformers) or "vllm"."""
    server: str | None = None
    """The address of a running `vllm serve` on this machine, for engine="vllm"."""
    temperature: float = 0.0
    max_tokens: int = 256
    """Of an answer; where it is not set, fewer if the prompt leaves fewer of the window."""
    top_p: float = 1.0
    stop: list[str] | str | None = None
    seed: int | None = None
    """Of what is drawn at a temperature above 0; None draws anew each time."""
    style: AnswerStyle = "short"
    """How an adapter answers a question at temperature 0 without tools: "short" (in a few words), "sentence" (with the
    sentence that it recalls), or "plain" (what it says itself). Its confidence is in the response's metadata."""
    streaming: bool = False
    """Whether `invoke` streams internally."""
    backend: Any = Field(default=None, exclude=True, repr=False)
    timeout: Any = None
    """Accepted but not used, like max_retries and api_key, so that ChatSeal can replace other chat models."""
    max_retries: int | None = None
    api_key: SecretStr | None = None

    # ------------------------------------------------------------ construction

    @model_validator(mode="before")
    @classmethod
    def _warn_about_unknown(cls, values: Any) -> Any:
        for name in set(values) - set(cls.model_fields) if isinstance(values, Mapping) else ():
            close_matches = difflib.get_close_matches(str(name), cls.model_fields, 1)
            suggestion = f"; did you mean {close_matches[0]}?" if close_matches else ""
            warnings.warn(f"ChatSeal knows no {name!r} and leaves it out{suggestion}", stacklevel=3)
        return values

    @field_validator("model", mode="before")
    @classmethod
    def _path_to_text(cls, model: Any) -> Any:
        return str(model) if isinstance(model, Path) else model

    @model_validator(mode="after")
    def _take_backend_name(self) -> ChatSeal:
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
            image_inputs=self._sees(),
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

    def _sees(self) -> bool:
        """Whether images may stand in messages, as far as it is known without loading the model."""
        if self.backend is not None:
            return bool(self.backend.base.sees)
        config = Path(self.model).expanduser() / "config.json"
        return config.is_file() and "vision_config" in json.loads(config.read_text(encoding="utf-8"))

    def _window(self) -> int | None:
        """The context window in tokens, if known without loading the model."""
        if self.backend is not None:
            return int(self.backend.base.window)
        config = Path(self.model).expanduser() / "config.json"
        if config.is_file():
            settings = json.loads(config.read_text(encoding="utf-8"))
            window = settings.get(
                "max_position_embeddings", settings.get("text_config", {}).get("max_position_embeddings")
            )
            return int(window) if window else None
        return _DEFAULT_WINDOW if self.model == _DEFAULT_MODEL else None

    @property
    def seal(self) -> SelfAdaptingModel:
        """The SelfAdaptingModel behind it, loaded if necessary. Raises ModelError."""
        return self._model_named(self.model)

    @property
    def model_name(self) -> str:
        return self.model

    @property
    def _llm_type(self) -> str:
        return "chat-seal"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        names = ("model", "adapter", "device", "dtype", "engine", "temperature", "max_tokens", "top_p", "seed", "style")
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
        if recalled := call.recall():
            message = whole_message(recalled.completion, Reader(call.form), {**call.metadata, **recalled.metadata})
        else:
            (completion,) = call.seal.engine.generate([call.prompt], call.sampling, [call.in_use.weights])
            message = whole_message(completion, Reader(call.form), call.metadata)
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        call = self._call(messages, stop, kwargs)
        recalled = call.recall()
        pieces = (
            recalled.pieces() if recalled else call.seal.engine.stream(call.prompt, call.sampling, call.in_use.weights)
        )
        metadata = {**call.metadata, **recalled.metadata} if recalled else call.metadata
        for chunk in chunks_of(pieces, Reader(call.form), metadata):
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
        async for chunk in super()._astream(messages, stop, None, **kwargs):  # runs _stream in threads
            if run_manager:
                await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk

    def _call(self, messages: Sequence[BaseMessage], stop: list[str] | None, kwargs: Mapping[str, Any]) -> _Call:
        """Resolve a call's arguments; the instance's fields are their defaults."""
        from seal_agent.answering.recall import limit_in_window

        settings = {name: kwargs.get(name, getattr(self, name)) for name in _PER_CALL}
        seal = self._model_named(settings["model"])
        revision = kwargs[_REVISION] if _REVISION in kwargs else active_revision(seal, settings["adapter"])
        form = form_of(kwargs.get("tools") or (), kwargs.get("tool_choice"), kwargs.get("response_format"))
        in_use, prompt = adapter_in_use(seal, settings["adapter"], revision), prompt_of(messages, form, seal.base)
        max_tokens = kwargs.get("max_tokens") or self.max_tokens
        if not kwargs.get("max_tokens") and "max_tokens" not in self.model_fields_set:
            max_tokens = limit_in_window(seal.base, prompt, in_use.weights, max_tokens)
        grammar = form.grammar(max_tokens)
        stop_sequences = () if grammar else tuple(self._stop_sequences(stop))
        seed = secrets.randbits(32) if settings["seed"] is None else settings["seed"]
        sampling = Sampling(max_tokens, settings["temperature"], settings["top_p"], stop_sequences, seed, grammar)
        return _Call(seal, str(settings["model"]), in_use, form, prompt, sampling, settings["style"])

    def _stop_sequences(self, stop: list[str] | None) -> list[str]:
        sequences = stop if stop is not None else self.stop
        return [sequences] if isinstance(sequences, str) else list(sequences or ())

    def _model_named(self, model: str) -> SelfAdaptingModel:
        if self.backend is not None and model == self.model:
            return self.backend  # type: ignore[no-any-return]
        home = self.backend.home if self.home is None and self.backend is not None else self.home
        return shared_model(str(model), home, self.device, self.dtype, self.engine, self.server)

    # ------------------------------------------------------------ revisions

    def _pin_revision(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        """The call's keywords with the adapter's active revision, so that cache and weights cannot disagree."""
        adapter = kwargs.get("adapter", self.adapter)
        if adapter is None:
            return kwargs
        return {**kwargs, _REVISION: active_revision(self._model_named(kwargs.get("model", self.model)), adapter)}

    def _get_llm_string(self, stop: list[str] | None = None, **kwargs: Any) -> str:
        """The cache's key: the settings, the base model, and the adapter at its revision."""
        seal, adapter = self._model_named(kwargs.get("model", self.model)), kwargs.get("adapter", self.adapter)
        revision = kwargs[_REVISION] if _REVISION in kwargs else active_revision(seal, adapter)
        settings = super()._get_llm_string(stop=self._stop_sequences(stop), **kwargs)
        return f"{settings}---{seal.base.identity}---{adapter}@{revision}"

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        return super()._get_ls_params(stop=self._stop_sequences(stop), **kwargs)

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
        """A model that may or must call tools.

        Args:
            tools: functions, classes, LangChain tools or dictionaries.
            tool_choice: "auto" (the model may call), "any" (it must; also "required" and True), the name of the tool
                that it must call, or "none".
            strict, parallel_tool_calls: accepted but not used.

        A forced call is decoded under the tool's schema. Otherwise the model writes freely and may call several tools;
        an invalid call appears in invalid_tool_calls. Raises InputError for an unusable tool or an unknown tool_choice.
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
        """A model that answers with instances of a Pydantic class, or with dictionaries for other schemas.

        Every method constrains decoding to the schema. With include_raw the answer is {"raw", "parsed",
        "parsing_error"}. Raises InputError for an unusable schema.
        """
        return structured(self, schema, method, include_raw=include_raw, strict=strict, call_kwargs=kwargs)

    # ------------------------------------------------------------ counting

    def get_token_ids(self, text: str) -> list[int]:
        return self.seal.base.tokens(text)

    def get_num_tokens_from_messages(self, messages: list[BaseMessage], tools: Sequence[Any] | None = None) -> int:
        base = self.seal.base
        return len(base.encode(prompt_of(messages, form_of(tools or ()), base)))


@dataclass(frozen=True, slots=True)
class _Call:
    """A call's resolved arguments."""

    seal: SelfAdaptingModel
    model: str
    in_use: AdapterInUse
    form: Form
    prompt: Prompt
    sampling: Sampling
    style: AnswerStyle

    def recall(self) -> _RecalledCompletion | None:
        """The answer to a question that the adapter recalls; None for a turn that the model writes freely."""
        from seal_agent.answering.chats import reply_in_chat
        from seal_agent.answering.turns import is_recall

        seal, turns, weights = self.seal, self.prompt, self.in_use.weights
        if (
            weights is None
            or not isinstance(turns, tuple)
            or self.form.tools
            or not is_recall(turns, self.sampling, self.style)
        ):
            return None
        return _RecalledCompletion(*reply_in_chat(seal.engine, seal.base, turns, self.sampling, weights, self.style))

    @property
    def metadata(self) -> dict[str, Any]:
        """The call's part of response_metadata."""
        return {
            "model_provider": "seal",
            "model_name": self.model,
            "adapter": self.in_use.adapter,
            "revision": self.in_use.revision,
        }


@dataclass(frozen=True, slots=True)
class _RecalledCompletion:
    """A reply, and the same as a completion."""

    reply: Reply
    completion: Completion

    @property
    def metadata(self) -> dict[str, Any]:
        """What response_metadata says beside the call's part."""
        return {"confidence": self.reply.confidence, "recalled": self.reply.recalled}

    def pieces(self) -> Generator[str, None, Completion]:
        """The text as the engine's `stream` gives it: all at once, since it is read from what was recalled."""
        if self.completion.text:
            yield self.completion.text
        return self.completion
