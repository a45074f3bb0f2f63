"""Constrained decoding: which tokens may come next, so that the completion matches a grammar."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seal_agent.base_model.model import BaseModel
from seal_agent.errors import InputError, MissingDependency, ModelError
from seal_agent.generation.answer_form.schemas import without_unenforced
from seal_agent.types import Grammar

CLOSING_TOKENS = 48  # not tuned: with this many tokens left, strings, lists and objects are closed as soon as possible
CLOSING_DIVISOR = 2  # not tuned: but not before half of the tokens (1 / this) are used
_QUOTE_CHARACTERS, _BRACKET_CHARACTERS = frozenset('"]}'), frozenset("]}")
_COMPACT: Any = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


class Constraint:
    """The grammar state of one row."""

    def __init__(self, base: BaseModel, grammar: Grammar, max_tokens: int, *, flexible: bool = False) -> None:
        """Raises InputError for a grammar that cannot be read, MissingDependency without llguidance.

        Of a JSON schema, `uniqueItems` and formats that llguidance does not know are not enforced.

        Args:
            flexible: Whether JSON may have been begun with white space wherever JSON allows it, as others write it.
        """
        tokenizer = _tokenizer(base)
        from llguidance import LLMatcher

        closing_tokens_left = closing_budget(max_tokens) if grammar.kind == "json_schema" else 0
        self._closing = closing_tokens(base) if closing_tokens_left else None
        self._tokens_left, self._closing_tokens_left = max_tokens, closing_tokens_left
        self._vocabulary_size = len(base.tokenizer)
        self._matcher: Any = LLMatcher(tokenizer, _compile(grammar, flexible), log_level=0)
        if self._matcher.is_error():
            raise _unusable(grammar, self._matcher.get_error())
        if not _ends(base) and not self.allowed_tokens(len(base.tokenizer)).any():
            raise _unusable(
                grammar, "it allows no text but the empty one, which a model without end token cannot write"
            )

    def allowed_tokens(self, vocabulary_size: int) -> Tensor:
        """Bool mask over the model's logits, V; the end-of-text token is allowed where the text may end."""
        # llguidance.numpy unpacks its mask ten times as slowly, and llguidance.torch needs a C++ compiler to do it.
        bits = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        allowed_V = torch.zeros(vocabulary_size, dtype=torch.bool)
        known = min(vocabulary_size, self._vocabulary_size)
        unpacked = torch.from_numpy(np.unpackbits(bits, bitorder="little")[:known]).bool()
        allowed_V[: len(unpacked)] = unpacked
        if self._closing and self._tokens_left <= self._closing_tokens_left:
            return self._closing.restrict(allowed_V)
        return allowed_V

    def advance(self, token: int) -> bool:
        """Consume an allowed token. Returns True if only the end of the text can follow."""
        self._matcher.consume_token(token)
        self._tokens_left -= 1
        return bool(self._matcher.is_stopped())


def closing_budget(max_tokens: int) -> int:
    """How many of the last tokens close what is open in a JSON text."""
    return min(CLOSING_TOKENS, max_tokens // CLOSING_DIVISOR)


def constrain(logits_BV: Tensor, constraints: Sequence[Constraint | None]) -> Tensor:
    """The logits, with minus infinity for tokens that a row's grammar forbids."""
    if not any(constraints):
        return logits_BV
    vocabulary_size = logits_BV.shape[1]
    all_allowed_V = torch.ones(vocabulary_size, dtype=torch.bool)
    allowed_BV = torch.stack(
        [constraint.allowed_tokens(vocabulary_size) if constraint else all_allowed_V for constraint in constraints]
    )
    return logits_BV.masked_fill(~allowed_BV.to(logits_BV.device), -torch.inf)


@dataclass(frozen=True, slots=True)
class ClosingTokens:
    """Bool masks over the vocabulary: tokens that end a string, and tokens that end a list or an object."""

    quotes_V: Tensor
    brackets_V: Tensor
    blank_V: Tensor
    """White space alone."""
    letters: tuple[int, ...]
    """Tokens that are all allowed inside a string, and nowhere else."""

    def restrict(self, allowed_V: Tensor) -> Tensor:
        """The allowed tokens that close what is open; if none of them does, those that are more than white space."""
        in_string = bool(self.letters) and bool(allowed_V[list(self.letters)].all())
        closing_V = (self.quotes_V if in_string else self.brackets_V)[: len(allowed_V)] & allowed_V
        if closing_V.any():
            return closing_V
        visible_V = allowed_V & ~self.blank_V[: len(allowed_V)]
        return visible_V if visible_V.any() else allowed_V


def closing_tokens(base: BaseModel) -> ClosingTokens:
    """The closing tokens of a model's vocabulary; computed once per model."""
    if "closing tokens" not in base.memo:
        texts = base.tokenizer.batch_decode([[i] for i in range(len(base.tokenizer))])
        texts += [""] * (base.module.config.get_text_config().vocab_size - len(texts))
        quotes = [text[:1] == '"' and _QUOTE_CHARACTERS.issuperset(text) and text.count('"') == 1 for text in texts]
        brackets = [text != "" and _BRACKET_CHARACTERS.issuperset(text) for text in texts]
        blank = [text != "" and text.isspace() for text in texts]
        letters = tuple(texts.index(letter) for letter in "aez" if letter in texts)
        base.memo["closing tokens"] = ClosingTokens(
            torch.tensor(quotes), torch.tensor(brackets), torch.tensor(blank), letters
        )
    cached: ClosingTokens = base.memo["closing tokens"]
    return cached


def _unusable(grammar: Grammar, error: object) -> InputError:
    """The error for a grammar that llguidance rejects, with its message on one line."""
    message = " ".join(str(error).split("```")[0].split())
    kind = "regular expression" if grammar.kind == "regex" else "JSON schema"
    return InputError(f"the {kind} cannot be used to constrain text ({message[:200]}); correct it, or leave it out")


def _compile(grammar: Grammar, flexible: bool) -> str:
    from llguidance import LLMatcher

    try:
        if grammar.kind == "regex":
            return str(LLMatcher.grammar_from_regex(grammar.text))
        schema = without_unenforced(json.loads(grammar.text))
        return str(LLMatcher.grammar_from_json_schema(schema, defaults={} if flexible else _COMPACT))
    except ValueError as err:
        raise _unusable(grammar, err) from err


def _ends(base: BaseModel) -> list[int]:
    """The tokens that end a text, as far as the tokenizer knows them."""
    return sorted(i for i in base.stop_ids if i < len(base.tokenizer))


def _tokenizer(base: BaseModel) -> Any:
    """llguidance's view of the vocabulary; takes about a second, so it is built once per model."""
    if "llguidance" not in base.memo:
        try:
            import llguidance.hf
        except ImportError as err:
            raise MissingDependency("constrained decoding needs llguidance: pip install llguidance") from err
        try:
            tokenizer, ends = base.tokenizer, _ends(base)
            if not ends:  # llguidance needs one: a token that the model does not have, and is never let write
                tokenizer, ends = copy.deepcopy(tokenizer), [len(tokenizer)]
                tokenizer.add_special_tokens({"eos_token": "<|no such token|>"})
            base.memo["llguidance"] = llguidance.hf.from_tokenizer(tokenizer, n_vocab=len(tokenizer), eos_token=ends)
        except ValueError as err:
            raise ModelError(
                f"the tokenizer of {base.name!r} cannot be used to constrain text ({err}); use a model with a fast one"
            ) from err
    return base.memo["llguidance"]
