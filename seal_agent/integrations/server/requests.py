"""What clients send, checked: OpenAI's requests as far as they are supported, and those about adapters.

A field that is unknown, or that asks for something which the engine cannot do, is refused rather than ignored. Fields
without an effect on the answer are taken and not used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from seal_agent.config import AnswerStyle
from seal_agent.types import Trust

Name = Annotated[str, Field(min_length=1, max_length=200)]
Text = Annotated[str, Field(max_length=1_000_000)]
StopString = Annotated[str, Field(min_length=1, max_length=200)]
_MOST_TOKENS, _MOST_STOPS = 1_000_000, 16


class Strict(BaseModel):
    """Unknown fields are errors."""

    model_config = ConfigDict(extra="forbid")


class StreamOptions(Strict):
    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class Sampled(Strict):
    """What both kinds of completion take."""

    model: Name
    max_tokens: Annotated[int, Field(ge=1, le=_MOST_TOKENS)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    n: Annotated[int, Field(ge=1, le=128)] | None = None
    stop: StopString | Annotated[list[StopString], Field(max_length=_MOST_STOPS)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    user: Any = None

    @field_validator("presence_penalty", "frequency_penalty")
    @classmethod
    def _no_penalty(cls, value: float | None) -> float | None:
        if value:
            raise ValueError("penalties are not supported; leave it out or set it to 0")
        return value

    @field_validator("logit_bias")
    @classmethod
    def _no_bias(cls, value: dict[str, float] | None) -> dict[str, float] | None:
        if value:
            raise ValueError("a bias of tokens is not supported; leave it out")
        return value

    @property
    def stops(self) -> tuple[str, ...]:
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())

    @property
    def includes_usage(self) -> bool:
        return bool(self.stream_options and self.stream_options.include_usage)


class CompletionRequest(Sampled):
    """POST /v1/completions."""

    prompt: Text | Annotated[list[Text], Field(min_length=1, max_length=32)]
    logprobs: Annotated[int, Field(ge=0, le=5)] | None = None
    echo: Literal[False] | None = None
    suffix: Literal[""] | None = None
    best_of: Annotated[int, Field(ge=1, le=1)] | None = None

    @property
    def prompts(self) -> list[str]:
        return [self.prompt] if isinstance(self.prompt, str) else self.prompt


class TextPart(Strict):
    """Text in a message's content."""

    type: Literal["text"]
    text: Text


class ImageUrl(Strict):
    url: str
    detail: Any = None


class ImagePart(Strict):
    """A picture in a message's content, as a data: URL."""

    type: Literal["image_url"]
    image_url: ImageUrl


Part = Annotated[TextPart | ImagePart, Field(discriminator="type")]


class FunctionCall(Strict):
    name: Name
    arguments: Text


class SentCall(Strict):
    """A call of a tool in an earlier turn."""

    id: Annotated[str, Field(max_length=200)]
    type: Literal["function"] = "function"
    function: FunctionCall
    index: int | None = None


class SentMessage(Strict):
    """A turn of the conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Text | list[Part] | None = None
    name: Name | None = None
    tool_calls: list[SentCall] | None = None
    tool_call_id: Annotated[str, Field(max_length=200)] | None = None
    refusal: str | None = None
    audio: None = None
    function_call: None = None
    annotations: Any = None

    @field_validator("content", mode="before")
    @classmethod
    def _text_and_pictures(cls, content: Any) -> Any:
        for part in content if isinstance(content, list) else ():
            kind = part.get("type") if isinstance(part, dict) else None
            if kind not in ("text", "image_url"):
                raise ValueError(f"a part is text or an image_url, but one is of type {kind!r:.40}; leave it out")
        return content


class Function(Strict):
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
    description: Text | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class SentTool(Strict):
    type: Literal["function"]
    function: Function


class NamedFunction(Strict):
    name: Name


class NamedTool(Strict):
    type: Literal["function"]
    function: NamedFunction


class NamedSchema(Strict):
    name: Name
    description: Text | None = None
    schema_: dict[str, Any] = Field(alias="schema")
    strict: bool | None = None


class ResponseFormat(Strict):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: NamedSchema | None = None

    @property
    def as_dict(self) -> Mapping[str, Any]:
        """As the caller sent it."""
        return self.model_dump(by_alias=True, exclude_none=True)


class ChatRequest(Sampled):
    """POST /v1/chat/completions."""

    messages: Annotated[list[SentMessage], Field(min_length=1, max_length=2000)]
    max_completion_tokens: Annotated[int, Field(ge=1, le=_MOST_TOKENS)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    tools: Annotated[list[SentTool], Field(max_length=128)] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    response_format: ResponseFormat | None = None
    modalities: list[Literal["text"]] | None = None
    style: AnswerStyle = "short"
    """How an adapter answers a question; this project's own. Everything below has no effect."""
    parallel_tool_calls: bool | None = None
    metadata: Any = None
    store: Any = None
    service_tier: Any = None
    reasoning_effort: Any = None
    verbosity: Any = None
    safety_identifier: Any = None
    prompt_cache_key: Any = None


class SentQuestion(Strict):
    question: Text
    answer: Text | Annotated[list[Text], Field(min_length=1, max_length=20)]


class AdaptRequest(Strict):
    """POST /v1/adapters/NAME/adapt."""

    text: Text
    title: Annotated[str, Field(max_length=500)] | None = None
    questions: Annotated[list[SentQuestion], Field(max_length=200)] | None = None
    trust: Trust = "trusted"
    ask_before_use: bool = False
    """Wait for POST …/approve before the revision becomes active."""


class RollbackRequest(Strict):
    to: Annotated[str, Field(max_length=100)] | None = None


class ForgetRequest(Strict):
    revision: Annotated[str, Field(max_length=100)]


class ApproveRequest(Strict):
    approve: bool
