"""Which rows a model may read together, and with which cache, so that each is answered as if it were alone.

Padding changes what some models say: recurrent and convolutional layers run over it. Others have no cache, or one that
cannot drop a row, or one that all calls share. No config says which, so a model is tried once.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import torch
from torch import Tensor, nn

from seal_agent.base_model.model import BaseModel
from seal_agent.errors import ModelError
from seal_agent.generation.decoding_state import CacheKind, DecodingState, last_logits, padded_left
from seal_agent.generation.rows import pad_left
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.lora.routing import routed
from seal_agent.lora.text_layers import text_layers

# The largest difference of logits that is rounding, in float32 and in narrower types: root mean square, as a share of
# their standard deviation. Measured: 2e-4 and 0.05. Padding that is read can weigh less than the latter, so that its
# gradient is looked at too.
ROUNDING, NARROW_ROUNDING = 1e-3, 0.2
MAX_CACHE_BYTES = 4 << 30  # keys and values of one batch: 32 rows of 1,000 tokens of a model with 8B weights. Not tuned
_ROWS = (  # ordinary text: on random tokens, rounding in bfloat16 is five times as large
    "The lighthouse stands on an island far to the north, and its lamp burns oil all night.",
    "In the year of the great flood all the people of the village moved to the hills.",
    "A cat sat on the mat while two dogs slept beside the kitchen door until noon.",
)
_ROW_LENGTH = 12
_UNEQUAL, _EQUAL = (1, 3, 9), (3, 3, 3)  # lengths of the prompts that are tried; padding weighs most in short ones
_PREFIXES, _SUFFIXES, _GAP = (4, 2, 6), (3, 5, 1), 24  # of rows with padding in between
_WINDOWS = ("window_size", "sliding_window", "attention_window", "attention_window_size", "local_attention")


class Together(StrEnum):
    """Which rows may be read in one batch. The fastest stands first."""

    PADDED = "padded"  # all
    EQUAL = "equal"  # those of equal length
    ALONE = "alone"  # none


@dataclass(frozen=True, slots=True)
class Decoding:
    """How a model decodes: with which cache, and which rows together."""

    cache: CacheKind
    together: Together


def groups_of(base: BaseModel, adapters: Sequence[LoraAdapter | None]) -> list[list[int]]:
    """Indices of rows whose adapters may be used in one batch: all, but for models that mix the tokens of the rows.

    An expert, say, may get the tokens routed to it in any order; which adapter each belongs to, it cannot know.
    """
    names = {name for adapter in adapters if adapter is not None for name in adapter.pairs}
    by_adapter: dict[int, list[int]] = {}
    for i, adapter in enumerate(adapters):
        by_adapter.setdefault(id(adapter), []).append(i)
    if len(by_adapter) > 1 and not names <= text_layers(base.module).by_token:
        return list(by_adapter.values())
    return [list(range(len(adapters)))]


def batches_of(
    lengths: Sequence[int], together: Together, max_rows: int, max_tokens: int | None = None
) -> list[list[int]]:
    """Indices of the rows of each batch; rows are taken by length, the shortest first.

    A batch has at most `max_tokens` positions, padding included (None: any number), unless it is one row.
    """
    batches: list[list[int]] = []
    for i in sorted(range(len(lengths)), key=lambda i: lengths[i]):
        last = batches[-1] if batches else []
        fits = len(last) < max_rows and (max_tokens is None or (len(last) + 1) * lengths[i] <= max_tokens)
        if last and fits and may_join(lengths[i], lengths[last[0]], together):
            last.append(i)
        else:
            batches.append([i])
    return batches


def most_positions(base: BaseModel) -> int | None:
    """Positions of all rows of a batch together that take `MAX_CACHE_BYTES`; None where the config does not say."""
    from seal_agent.generation.kv_cache import bytes_per_position

    each = bytes_per_position(base.module.config, base.dtype)
    return MAX_CACHE_BYTES // each if each else None


def may_join(length: int, length_of_batch: int, together: Together) -> bool:
    """Whether a row of this length may be read with rows of that length."""
    return together is Together.PADDED or (together is Together.EQUAL and length == length_of_batch)


def decoding_of(base: BaseModel) -> Decoding:
    """The fastest way of decoding that changes nothing; tried on the first call."""
    if "decoding" not in base.memo:
        with torch.inference_mode(), routed(None):
            base.memo["decoding"] = _Trial(base).best_decoding()
    found: Decoding = base.memo["decoding"]
    return found


def reading_of(base: BaseModel) -> Together:
    """Which texts may be read together, each in one pass without a cache; tried on the first call."""
    if "reading" not in base.memo:
        with torch.inference_mode(), routed(None):
            base.memo["reading"] = _Trial(base).best_reading()
    found: Together = base.memo["reading"]
    return found


def may_share(base: BaseModel, prefix_lengths: Sequence[int], suffix_lengths: Sequence[int]) -> bool:
    """Whether rows may be read in two passes: the prefixes that they share, and behind them what is each row's own.

    Padding then stands before the shorter prefixes, and in the middle of the rows with shorter suffixes.
    """
    if len(set(suffix_lengths)) > 1:
        return bridges_gaps(base)
    return len(set(prefix_lengths)) == 1 or decoding_of(base).together is Together.PADDED


def bridges_gaps(base: BaseModel) -> bool:
    """Whether padding in the middle of a row changes nothing; tried where it first would stand there.

    It does where a model counts the places of its cache, padding included, to know how far a token is away.
    """
    if "bridges gaps" not in base.memo:
        with torch.inference_mode(), routed(None):
            base.memo["bridges gaps"] = _hides_no_window(base) and _Trial(base).bridges_gaps(decoding_of(base))
    found: bool = base.memo["bridges gaps"]
    return found


def _hides_no_window(base: BaseModel) -> bool:
    """Whether a config has no window that its cache does not know, as GPT-Neo's: the rows tried are too short for it.

    Where the layers' kinds are listed, the cache goes by them.
    """
    config = base.module.config.get_text_config(decoder=True)
    listed = getattr(config, "layer_types", None) is not None
    return listed or not any(getattr(config, name, None) for name in _WINDOWS)


class _Trial:
    """Rows of text, and the logits of each where the model reads it alone, in one pass."""

    def __init__(self, base: BaseModel) -> None:
        self._module, self._device, self._pad_id = base.module, base.device, base.pad_id
        self._dtype = base.dtype
        self._rows = trial_rows(base)
        self._alone = [self._read([row], _ROW_LENGTH)[0] for row in self._rows]
        self._check_positions(base)
        self._candidates = [way for way in Together if way is not Together.PADDED or not self._padding_is_read()]

    def _check_positions(self, base: BaseModel) -> None:
        """Raises ModelError for a model that does not count positions from 0, as RoBERTa's decoders."""
        if "position_ids" in inspect.signature(self._module.forward).parameters:
            plain_TV = self._module(input_ids=torch.tensor(self._rows[:1], device=self._device)).logits[0]
            if not self._alike(plain_TV, self._alone[0]):
                raise ModelError(
                    f"the model {base.name!r} gives positions numbers of its own, and would read others here; "
                    "load one that counts them from 0"
                )

    def best_reading(self) -> Together:
        return next((together for together in self._candidates if self._reads(together)), Together.ALONE)

    def best_decoding(self) -> Decoding:
        for cache in (CacheKind.GROWING, CacheKind.OWN):
            for together in self._candidates:
                if self._decodes(cache, together):
                    return Decoding(cache, together)
        return Decoding(CacheKind.NONE, self.best_reading())

    def bridges_gaps(self, decoding: Decoding) -> bool:
        """Whether rows say what they say alone with padding before their prefixes, and more of it behind them."""
        if decoding.together is not Together.PADDED:
            return False
        pairs = list(zip(_PREFIXES, _SUFFIXES, strict=True))
        prefixes = [row[:n] for row, (n, _) in zip(self._rows, pairs, strict=True)]
        suffixes = [row[n : n + more] for row, (n, more) in zip(self._rows, pairs, strict=True)]
        try:
            state = DecodingState(self._module, decoding.cache)
            ids_BP, mask_BP = pad_left(prefixes, self._pad_id, self._device)
            state.read(ids_BP, mask_BP)
            ids_BS, mask_BS = (
                padded_left(values, _GAP + max(_SUFFIXES)) for values in pad_left(suffixes, self._pad_id, self._device)
            )
            logits_BV = state.read(ids_BS, torch.cat([mask_BP, mask_BS], dim=1))
        except Exception:  # a model may fail in any way where it does not support what is tried
            return False
        alone_BV = [self._alone[i][n + more - 1] for i, (n, more) in enumerate(pairs)]
        return all(map(self._alike, logits_BV, alone_BV))

    def _reads(self, together: Together) -> bool:
        def same(chosen: Sequence[int], lengths: Sequence[int]) -> bool:
            logits_BTV = self._read([self._rows[i][:n] for i, n in zip(chosen, lengths, strict=True)], max(lengths))
            return all(
                self._alike(logits_TV[-n:], self._alone[i][:n])
                for i, n, logits_TV in zip(chosen, lengths, logits_BTV, strict=True)
            )

        return _holds(same, together)

    def _decodes(self, cache: CacheKind, together: Together) -> bool:
        return _holds(lambda chosen, lengths: self._follows(cache, chosen, lengths), together)

    def _follows(self, cache: CacheKind, chosen: Sequence[int], lengths: Sequence[int]) -> bool:
        """Whether rows say what they say alone: behind their prompts, one token later, and after one has left."""
        rows = dict(zip(chosen, lengths, strict=True))
        state = DecodingState(self._module, cache)
        ids_BT, mask_BT = pad_left([self._rows[i][:n] for i, n in rows.items()], self._pad_id, self._device)
        for step in range(3):
            kept = _tensors_kept(self._module)
            logits_BV = state.read(ids_BT, mask_BT)
            if step > 0 and _tensors_kept(self._module) != kept:
                return False  # the cache is in the model, where another call would overwrite it
            alone_BV = [self._alone[i][n + step - 1] for i, n in rows.items()]
            if not all(map(self._alike, logits_BV, alone_BV)):
                return False
            if step == 1 and len(rows) > 1:
                index = torch.tensor([0, 2], device=self._device)
                state.select_rows(index)
                mask_BT, rows = mask_BT[index], {i: n for i, n in rows.items() if i != 1}
            mask_BT = torch.cat([mask_BT, mask_BT.new_ones(len(rows), 1)], dim=1)
            ids_BT = torch.tensor([[self._rows[i][n + step]] for i, n in rows.items()], device=self._device)
        return True

    def _padding_is_read(self) -> bool:
        """Whether logits of a row depend on the embeddings of its padding: a gradient is 0 or not, however rounded.

        False where that cannot be told, as in models without a backward pass.
        """
        try:
            with torch.inference_mode(False), torch.enable_grad(), _embeddings_as_leaves(self._module) as leaves:
                rows = [row[:n] for row, n in zip(self._rows, _UNEQUAL, strict=True)]
                ids_BT, mask_BT = pad_left(rows, self._pad_id, self._device)
                logits_BTV = last_logits(self._module, ids_BT, mask_BT, ids_BT.shape[1])
                (gradient_BTD,) = torch.autograd.grad(logits_BTV[mask_BT == 1].float().square().sum(), leaves[:1])
        except Exception:
            return False
        return bool((gradient_BTD[mask_BT == 0].nan_to_num() != 0).any())

    def _read(self, rows: Sequence[list[int]], count: int) -> Tensor:
        ids_BT, mask_BT = pad_left(rows, self._pad_id, self._device)
        return last_logits(self._module, ids_BT, mask_BT, count)

    def _alike(self, logits: Tensor, alone: Tensor) -> bool:
        return alike(logits, alone, self._dtype)


def trial_rows(base: BaseModel) -> list[list[int]]:
    """Token ids of a few texts on which ways of reading are tried, of equal length."""
    return [(base.content_ids(text) * _ROW_LENGTH)[:_ROW_LENGTH] for text in _ROWS]


def alike(logits: Tensor, expected: Tensor, dtype: torch.dtype) -> bool:
    """Whether logits of a model of this precision differ by rounding alone."""
    tolerance = ROUNDING if dtype == torch.float32 else NARROW_ROUNDING
    difference = (logits.float() - expected.float()).square().mean(-1).sqrt()
    return bool((difference <= tolerance * expected.float().std(-1) + 1e-6).all())


def _holds(same: Callable[[Sequence[int], Sequence[int]], bool], together: Together) -> bool:
    """Whether a check of rows with prompts of these lengths passes in the batches that `together` allows."""
    lengths = _EQUAL if together is Together.EQUAL else _UNEQUAL
    everything = list(range(len(lengths)))
    batches = [[i] for i in everything] if together is Together.ALONE else [everything]
    try:
        return all(same(batch, [lengths[i] for i in batch]) for batch in batches)
    except Exception:  # a model may fail in any way where it does not support what is tried
        return False


@contextmanager
def _embeddings_as_leaves(module: nn.Module) -> Iterator[list[Tensor]]:
    """Collects the embeddings of what this thread reads within the block, each the start of a gradient."""
    leaves: list[Tensor] = []
    thread = threading.get_ident()

    def take(_layer: nn.Module, _inputs: Any, embeddings: Tensor) -> Tensor | None:
        if threading.get_ident() != thread:
            return None
        leaves.append(embeddings.detach().requires_grad_())
        return leaves[-1]

    handle = module.get_input_embeddings().register_forward_hook(take)  # type: ignore[operator]
    try:
        yield leaves
    finally:
        handle.remove()


def _tensors_kept(module: nn.Module) -> dict[tuple[str, str], int]:
    """Tensors that are attributes of modules, neither weights nor buffers."""
    return {
        (name, attribute): id(value)
        for name, part in module.named_modules()
        for attribute, value in vars(part).items()
        if isinstance(value, Tensor)
    }
