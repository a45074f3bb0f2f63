"""The base model as a value: weights, tokenizer, how prompts become token ids."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from seal_agent.base_model.chat import template_row, transcript
from seal_agent.base_model.identity import Settings, former_identity_of
from seal_agent.errors import InputError
from seal_agent.types import Chat, Message, Prompt

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


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
    def window(self) -> int:
        """Longest input in tokens: the architecture's positions, or 2048 where it states none."""
        config = self.module.config.get_text_config()
        return int(getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None) or 2048)

    @property
    def stop_ids(self) -> frozenset[int]:
        """Ids that end an answer: what the generation config and the tokenizer name, nothing by hand."""
        config = self.module.generation_config
        ids = getattr(config, "eos_token_id", None)
        listed = [] if ids is None else [ids] if isinstance(ids, int) else list(ids)
        return frozenset(i for i in (*listed, self.tokenizer.eos_token_id) if i is not None)

    @property
    def pad_id(self) -> int:
        """A valid id for masked positions; which one does not matter, since no loss or attention reaches it."""
        for token in (self.tokenizer.pad_token_id, self.tokenizer.eos_token_id):
            if token is not None:
                return int(token)
        return 0

    def tokens(self, text: str) -> list[int]:
        """Ids of plain text, with the special tokens that the tokenizer itself puts around a text."""
        return list(self.tokenizer(text)["input_ids"])

    def tokens_ended(self, ids: Sequence[int]) -> list[int]:
        """The ids with the tokenizer's end-of-text token behind them, if it has one and it is not there yet."""
        end = self.tokenizer.eos_token_id
        return list(ids) if end is None or (ids and ids[-1] == end) else [*ids, end]

    def encode(self, prompt: Prompt) -> list[int]:
        """Ids of a prompt: text as it stands; chat turns by the chat template, or a plain transcript."""
        if isinstance(prompt, str):
            return self.tokens(prompt)
        chat = prompt if isinstance(prompt, Chat) else Chat(prompt)
        ids = self.turns(chat.turns, answer_next=True, tools=chat.tools)
        return ids + list(self.tokenizer(chat.begun, add_special_tokens=False)["input_ids"]) if chat.begun else ids

    def turns(self, messages: Sequence[Message], answer_next: bool, tools: str = "") -> list[int]:
        """Ids of chat turns; with `answer_next` they end where the assistant is to speak.

        `tools`, a JSON list, needs a chat template that describes tools. Raises InputError for turns that the chat
        template refuses.
        """
        if not self.is_chat:
            return self.tokens(transcript(messages, answer_next))
        from jinja2 import TemplateError

        try:
            out = self.tokenizer.apply_chat_template(
                [template_row(message) for message in messages],
                tools=json.loads(tools) if tools else None,
                add_generation_prompt=answer_next,
                tokenize=True,
                return_dict=True,
            )
        except TemplateError as err:
            raise InputError(
                f"the chat template of {self.name!r} refuses these messages ({err}); change their roles or their order"
            ) from err
        return list(out["input_ids"])

    @property
    def describes_tools(self) -> bool:
        """Whether the chat template has a branch for tools and their results."""
        template: Any = self.tokenizer.chat_template
        return "tool_use" in template if isinstance(template, dict) else "tools" in (template or "")

    @property
    def stop_strings(self) -> tuple[str, ...]:
        """Where a base model without a chat template would begin to play the user's part."""
        return () if self.is_chat else ("\nUser:", "\nAssistant:", "\n\n")
