"""The base model as a value: weights, tokenizer, how prompts become token ids."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from seal_agent.base_model.chat import NO_THINKING, ContentForm, template_row, transcript, without_system
from seal_agent.base_model.control import Controls, Hidden, Range, broken, controls_of, encode
from seal_agent.base_model.identity import Settings, former_identity_of
from seal_agent.base_model.sight import Sight, sight_of
from seal_agent.errors import InputError, ModelError
from seal_agent.types import Chat, Illustrated, Message, Picture, Prompt
from seal_agent.validation import check_whole_characters

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class BaseModel:
    """A frozen causal language model, its tokenizer, and the hash that adapters are bound to."""

    name: str
    module: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    identity: str
    memo: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """What was worked out about this model once and holds for all of its adapters."""
    source: str = ""
    """The folder or hub id that was loaded; "" for a model that was made in memory."""
    settings: Settings = ()
    """What is recorded beside the identity: see `identity.settings_of`."""

    @property
    def device(self) -> torch.device:
        device: torch.device = self.module.device
        return device

    @property
    def dtype(self) -> torch.dtype:
        dtype: torch.dtype = self.module.dtype
        return dtype

    @property
    def dtype_name(self) -> str:
        """Such as "bfloat16", as `load_model` takes it."""
        return str(self.dtype).removeprefix("torch.")

    @property
    def former_identity(self) -> str | None:
        """The identity that stores knew this model by before it followed weights; None for one made in memory."""
        if self.source and "former identity" not in self.memo:
            self.memo["former identity"] = former_identity_of(self.source, self.module)
        return self.memo.get("former identity")

    def is_same_as(self, identity: str | None) -> bool:
        """Whether an adapter with this identity was trained on these weights."""
        return identity == self.identity or (identity is not None and identity == self.former_identity)

    @property
    def is_chat(self) -> bool:
        return bool(self.tokenizer.chat_template)

    @property
    def sees(self) -> bool:
        """Whether prompts may hold pictures."""
        return sight_of(self.module) is not None

    @property
    def sight(self) -> Sight:
        """The picture side. Raises InputError for a model that has none."""
        sight = sight_of(self.module)
        if sight is None:
            why = self.memo.get("blind", "it reads text only")
            raise InputError(f"the model {self.name!r} does not see ({why}); load an image-text-to-text model")
        return sight

    @property
    def window(self) -> int:
        """Longest input in tokens: the architecture's positions, or 2048 where it states none."""
        config = self.module.config.get_text_config()
        return int(getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None) or 2048)

    @property
    def stop_ids(self) -> frozenset[int]:
        """Ids that end an answer: those that generation config, tokenizer and chat template name."""
        config = self.module.generation_config
        ids = getattr(config, "eos_token_id", None)
        listed = [] if ids is None else [ids] if isinstance(ids, int) else list(ids)
        return frozenset(i for i in (*listed, self.tokenizer.eos_token_id, self._turn_end) if i is not None)

    @property
    def pad_id(self) -> int:
        """A valid id for masked positions; which one does not matter, since no loss or attention reaches it."""
        for token in (self.tokenizer.pad_token_id, self.tokenizer.eos_token_id):
            if token is not None and 0 <= token < self.embeddings:
                return int(token)
        return 0

    @property
    def embeddings(self) -> int:
        """How many tokens the model embeds. The tokenizer may have added tokens beyond them."""
        return int(self.module.get_input_embeddings().weight.shape[0])

    # ------------------------------------------------------------ text

    @property
    def controls(self) -> Controls:
        """Strings that this model would take for more than text."""
        sight = sight_of(self.module)
        return self._once(
            "controls", lambda: controls_of(self.tokenizer, [sight.token] if sight else [], self.embeddings)
        )

    def tokens(self, text: str) -> list[int]:
        """Ids of content, with the special tokens that the tokenizer puts before a text. None of it is control."""
        return self._without_end(self._content(text, special=True), text)

    def content_ids(self, text: str) -> list[int]:
        """Ids of content alone, without any special token."""
        return self._content(text, special=False)

    def tokens_ended(self, ids: Sequence[int]) -> list[int]:
        """The ids with the tokenizer's end-of-text token behind them, if it has one and it is not there yet."""
        end = self.tokenizer.eos_token_id
        return list(ids) if end is None or (ids and ids[-1] == end) else [*ids, end]

    def _content(self, text: str, special: bool) -> list[int]:
        return encode(self.tokenizer, self.controls, text, self.controls.ranges(text), special)

    def _as_it_stands(self, text: str) -> list[int]:
        """Ids of a text in which control strings are control, as far as the model has embeddings for them."""
        return encode(self.tokenizer, self.controls, text, self.controls.unread_ranges(text), special=True)

    def _without_end(self, ids: list[int], text: str) -> list[int]:
        """Some tokenizers put the end-of-text token behind every text, where a prompt is to be continued."""
        end = self.tokenizer.eos_token_id
        appended = end is not None and ids and ids[-1] == end and not text.endswith(self.tokenizer.eos_token)
        return ids[:-1] if appended else ids

    # ------------------------------------------------------------ prompts

    def encode(self, prompt: Prompt, adapter: Any = None) -> list[int]:
        """Ids of a prompt: text exactly as it stands, control strings included; chat turns by the chat template.

        Args:
            adapter: The adapter through which pictures are seen, if it changes that.
        """
        if isinstance(prompt, str):
            check_whole_characters("the prompt", prompt)
            return self._without_end(self._as_it_stands(prompt), prompt)
        if isinstance(prompt, Illustrated):
            check_whole_characters("the prompt", prompt.text)
            text, _, seen = self.sight.expand(prompt.text, [], prompt.pictures, adapter)
            return self.sight.number(self._without_end(self._as_it_stands(text), text), seen)
        chat = prompt if isinstance(prompt, Chat) else Chat(prompt)
        ids = self.turns(chat.turns, answer_next=True, tools=chat.tools, adapter=adapter)
        ids += self.content_ids(chat.begun) if chat.begun else ()  # in place: the ids hold their pictures
        return ids

    def turns(self, messages: Sequence[Message], answer_next: bool, tools: str = "", adapter: Any = None) -> list[int]:
        """Ids of chat turns; with `answer_next` they end where the assistant is to speak, without thinking aloud.

        Args:
            tools: A JSON list; it needs a chat template that describes tools.
            adapter: The adapter through which pictures are seen, if it changes that.

        Raises InputError for turns that the chat template refuses, and for pictures where the model does not see.
        """
        pictures = [picture for message in messages for picture in message.pictures]
        if not self.is_chat and not pictures:
            return self.tokens(transcript(messages, answer_next))
        contents = [text for message in messages for text in (message.content, message.name, *_call_texts(message))]
        hidden = Hidden.for_texts(self.controls, [*contents, tools])
        rendered = (
            self._rendered(messages, answer_next, tools, hidden)
            if self.is_chat
            else self._told(messages, answer_next, hidden)
        )
        text, literal = hidden.show(rendered)
        if pictures:
            return self._with_pictures(text, literal, pictures, adapter)
        return encode(self.tokenizer, self.controls, text, literal, special=False)

    def _told(self, messages: Sequence[Message], answer_next: bool, hidden: Hidden) -> str:
        """A transcript for a model without a chat template, with the placeholders of its pictures."""
        placed = [
            replace(message, content=self.sight.placeholders(len(message.pictures)) + hidden.hide(message.content))
            for message in messages
        ]
        return transcript(placed, answer_next)

    def _with_pictures(
        self, text: str, literal: Sequence[Range], pictures: Sequence[Picture], adapter: Any
    ) -> list[int]:
        text, literal, seen = self.sight.expand(text, literal, pictures, adapter)
        ids = encode(self.tokenizer, self.controls, text, literal, special=not self.is_chat)
        return self.sight.number(ids if self.is_chat else self._without_end(ids, text), seen)

    def _rendered(self, messages: Sequence[Message], answer_next: bool, tools: str, hidden: Hidden) -> str:
        """The turns as text; with `answer_next` up to the first letter of an answer that does not think aloud.

        That is the template's generation prompt, but for templates that put more before an answer: an empty block of
        thoughts, the name of a channel. It would be learned and generated as a part of the answer.
        """
        if answer_next and self._answers_behind_prompt:
            return self._before_answer(messages, tools, hidden) or self._render(messages, True, tools, hidden)
        return self._render(messages, answer_next, tools, hidden)

    def _before_answer(self, messages: Sequence[Message], tools: str, hidden: Hidden) -> str:
        """What the template puts before the assistant's next turn; "" where it does not show that turn."""
        answer = f"{hidden.closing}{hidden.opening}"  # no placeholder, and in no content
        whole = self._render([*messages, Message("assistant", answer)], False, tools, hidden)
        before, found, _ = whole.rpartition(answer)
        return before if found else ""

    @property
    def _answers_behind_prompt(self) -> bool:
        """Whether answers in a conversation begin later than the generation prompt ends. Tried once."""

        def differs() -> bool:
            turns, hidden = [Message("user", _PROBE)], Hidden.for_texts(self.controls, [_PROBE])
            try:
                before, prompt = self._before_answer(turns, "", hidden), self._render(turns, True, "", hidden)
            except InputError:
                return False
            opens_thought = prompt.startswith(before) and "think" in prompt[len(before) :]
            return bool(before) and before != prompt and (before.startswith(prompt) or opens_thought)

        return self._once("answers behind prompt", differs)

    def _render(self, messages: Sequence[Message], answer_next: bool, tools: str, hidden: Hidden) -> str:
        told = any(message.role == "system" for message in messages)
        turns = without_system(messages) if told and not self._knows_system else messages
        rows = [self._row(message, hidden) for message in turns]
        try:
            return str(
                self.tokenizer.apply_chat_template(
                    rows,
                    tools=json.loads(hidden.hide(tools)) if tools else None,
                    add_generation_prompt=answer_next,
                    tokenize=False,
                    **NO_THINKING,
                )
            )
        except InputError:
            raise
        except Exception as err:  # a template is a program of somebody else's, and may raise anything
            raise InputError(
                f"the chat template of {self.name!r} refuses these messages ({err}); change their roles or their order"
            ) from err

    @property
    def _knows_system(self) -> bool:
        """Whether the chat template shows a system turn; some refuse it, some leave it out. Tried once."""

        def shown() -> bool:
            turns = Message("system", _PROBE), Message("user", "x")
            rows = [template_row(turn, self.content_form, str) for turn in turns]
            try:
                return _PROBE in self.tokenizer.apply_chat_template(rows, tokenize=False, **NO_THINKING)
            except Exception:  # a template is a program of somebody else's, and may raise anything
                return False

        return self._once("knows system", shown)

    def _row(self, message: Message, hidden: Hidden) -> dict[str, Any]:
        if message.role != "tool":
            return template_row(message, self.content_form, hidden.hide)
        delimiters = self.controls.delimiters
        return template_row(message, self.content_form, lambda text: hidden.hide(broken(text, delimiters)))

    @property
    def content_form(self) -> ContentForm:
        """How the chat template reads a turn's content. Raises ModelError where it shows none."""
        return self._once("content form", self._find_content_form)

    def _find_content_form(self) -> ContentForm:
        refused = 0
        for form in ("text", "blocks"):
            row = template_row(Message("user", _PROBE), form, str)
            try:
                if _PROBE in self.tokenizer.apply_chat_template([row], tokenize=False, **NO_THINKING):
                    return form
            except Exception:  # a template is a program of somebody else's, and may raise anything
                refused += 1
        if refused:  # it may want other turns, and says so where they are given
            return "text"
        raise ModelError(
            f"the chat template of {self.name!r} shows nothing of a user's turn, neither as text nor as a list of "
            "blocks; load a model whose template takes text"
        )

    @property
    def _turn_end(self) -> int | None:
        """The control token that ends an assistant's turn; None where the template puts none there."""
        return self._once("turn end", self._find_turn_end) if self.is_chat else None

    def _find_turn_end(self) -> int | None:
        turns = [Message("user", "Hello"), Message("assistant", _PROBE)]
        try:
            rendered = self._render(turns, False, "", Hidden.for_texts(self.controls, ["Hello"]))
        except (InputError, ModelError):
            return None
        behind = rendered.rpartition(_PROBE)[2].lstrip()
        match = self.controls.pattern.match(behind) if self.controls.pattern else None
        token = self.tokenizer.convert_tokens_to_ids(match.group()) if match else None
        return token if token in self.controls.ids else None

    def _once(self, name: str, make: Callable[[], Value]) -> Value:
        """A value that holds for the tokenizer, made on first use."""
        if name not in self.memo:
            self.memo[name] = make()
        value: Value = self.memo[name]
        return value

    @property
    def describes_tools(self) -> bool:
        """Whether the chat template has a branch for tools and their results."""
        template: Any = self.tokenizer.chat_template
        return "tool_use" in template if isinstance(template, dict) else "tools" in (template or "")

    @property
    def stop_strings(self) -> tuple[str, ...]:
        """Where a base model without a chat template would begin to play the user's part."""
        return () if self.is_chat else ("\nUser:", "\nAssistant:", "\n\n")


_PROBE = "a user's turn of no meaning"


def _call_texts(message: Message) -> list[str]:
    return [text for call in message.calls for text in (call.name, call.arguments)]
