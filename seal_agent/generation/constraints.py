"""Constrained decoding: which tokens may come next, so that what is written follows a grammar."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seal_agent.base_model.model import BaseModel
from seal_agent.errors import InputError, MissingDependency, ModelError
from seal_agent.types import Grammar

HURRY_TOKENS = 48  # our choice: with so few left, strings, lists and objects are closed as soon as they may be
HURRY_SHARE = 2  # … but not before half of the tokens are used
_QUOTED, _BRACKETED = frozenset('"]}'), frozenset("]}")
_COMPACT: Any = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


class Constraint:
    """Where one row stands in its grammar."""

    def __init__(self, base: BaseModel, grammar: Grammar, max_tokens: int) -> None:
        """Raises InputError for a grammar that cannot be read, MissingDependency without llguidance."""
        tokenizer = _tokenizer(base)
        from llguidance import LLMatcher

        self._matcher: Any = LLMatcher(tokenizer, _compiled(grammar), log_level=0)
        if self._matcher.is_error():
            raise _unusable(grammar, self._matcher.get_error())
        hurry = min(HURRY_TOKENS, max_tokens // HURRY_SHARE) if grammar.kind == "json_schema" else 0
        self._closing = closing_tokens(base) if hurry else None
        self._left, self._hurry = max_tokens, hurry

    def allowed(self, vocabulary: int) -> Tensor:
        """Bool, one for each of the model's `vocabulary` logits; the end of the text is allowed where it may end."""
        # llguidance.numpy unpacks its mask ten times as slowly, and llguidance.torch needs a C++ compiler to do it.
        bits = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        allowed_V = torch.zeros(vocabulary, dtype=torch.bool)
        unpacked = torch.from_numpy(np.unpackbits(bits, bitorder="little")[:vocabulary]).bool()
        allowed_V[: len(unpacked)] = unpacked
        return self._closing.among(allowed_V) if self._closing and self._left <= self._hurry else allowed_V

    def take(self, token: int) -> bool:
        """Move on by a token that was allowed; True where nothing can follow it but the end."""
        self._matcher.consume_token(token)
        self._left -= 1
        return bool(self._matcher.is_stopped())


def constrain(logits_BV: Tensor, constraints: Sequence[Constraint | None]) -> Tensor:
    """The logits, minus infinity where a row's grammar forbids a token."""
    if not any(constraints):
        return logits_BV
    free_V = torch.ones(logits_BV.shape[1], dtype=torch.bool)
    allowed_BV = torch.stack([one.allowed(logits_BV.shape[1]) if one else free_V for one in constraints])
    return logits_BV.masked_fill(~allowed_BV.to(logits_BV.device), -torch.inf)


@dataclass(frozen=True, slots=True)
class ClosingTokens:
    """Tokens that end a string, and tokens that end a list or an object; bool, one for each of the vocabulary."""

    quotes_V: Tensor
    brackets_V: Tensor
    letters: tuple[int, ...]
    """Tokens that may all come next inside of a string, and nowhere else."""

    def among(self, allowed_V: Tensor) -> Tensor:
        """Those that close what is open; everything that is allowed where nothing can be closed."""
        in_string = bool(self.letters) and bool(allowed_V[list(self.letters)].all())
        closing_V = (self.quotes_V if in_string else self.brackets_V)[: len(allowed_V)] & allowed_V
        return closing_V if closing_V.any() else allowed_V


def closing_tokens(base: BaseModel) -> ClosingTokens:
    """Of a model's vocabulary; kept with the model."""
    if "closing tokens" not in base.memo:
        texts = base.tokenizer.batch_decode([[i] for i in range(len(base.tokenizer))])
        texts += [""] * (base.module.config.get_text_config().vocab_size - len(texts))
        quotes = [text[:1] == '"' and _QUOTED.issuperset(text) and text.count('"') == 1 for text in texts]
        brackets = [text != "" and _BRACKETED.issuperset(text) for text in texts]
        letters = tuple(texts.index(letter) for letter in "aez" if letter in texts)
        base.memo["closing tokens"] = ClosingTokens(torch.tensor(quotes), torch.tensor(brackets), letters)
    known: ClosingTokens = base.memo["closing tokens"]
    return known


def _unusable(grammar: Grammar, why: object) -> InputError:
    """One line of what the library says."""
    said = " ".join(str(why).split("```")[0].split())
    kind = "regular expression" if grammar.kind == "regex" else "JSON schema"
    return InputError(f"the {kind} cannot be used to constrain text ({said[:200]}); correct it, or leave it out")


def _compiled(grammar: Grammar) -> str:
    from llguidance import LLMatcher

    try:
        if grammar.kind == "regex":
            return str(LLMatcher.grammar_from_regex(grammar.text))
        return str(LLMatcher.grammar_from_json_schema(json.loads(grammar.text), defaults=_COMPACT))
    except ValueError as err:
        raise _unusable(grammar, err) from err


def _tokenizer(base: BaseModel) -> Any:
    """llguidance's view of the vocabulary; takes about a second, so it is made once for a model."""
    if "llguidance" not in base.memo:
        try:
            import llguidance.hf
        except ImportError as err:
            raise MissingDependency("constrained decoding needs llguidance: pip install llguidance") from err
        try:
            base.memo["llguidance"] = llguidance.hf.from_tokenizer(
                base.tokenizer, n_vocab=len(base.tokenizer), eos_token=sorted(base.stop_ids)
            )
        except ValueError as err:
            raise ModelError(
                f"the tokenizer of {base.name!r} cannot be used to constrain text ({err}); use a model with a fast one"
            ) from err
    return base.memo["llguidance"]
