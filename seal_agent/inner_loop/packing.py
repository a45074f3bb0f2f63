"""How the sequences of a pass are laid out: end to end without padding where the model allows it, else as padded rows.

Packed, attention runs segment by segment, so that a sequence sees nothing but itself. transformers builds the mask of
a packed row from its position ids; the segment attention here is the same thing faster, and stands aside wherever an
architecture asks for more than plain causal attention.

Dimensions: B rows, T tokens of a row, N tokens of the pass, M labelled positions, H heads, G query heads per key head,
E head size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from seal_agent.inner_loop.lora_bank import BankRoute, LoraBank, Span
from seal_agent.inner_loop.routing import current_route, routed
from seal_agent.models import BaseModel
from seal_agent.types import IGNORE_LABEL, TrainingSequence

_PREFIX = "seal_segments_"


@dataclass(frozen=True, slots=True)
class Row:
    """One sequence on its way through a pass, and what each of its labelled tokens weighs in its slot's loss."""

    slot: int
    sequence: TrainingSequence
    weight: float
    dropout_seed: int = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """The tensors of one pass."""

    ids_BT: Tensor
    positions_BT: Tensor | None  # None: rows are padded on the right and count from 0
    spans: tuple[Span, ...]  # over the flattened tokens, B·T
    segments: tuple[tuple[int, int], ...]  # [start, stop) of each sequence where packed, else empty
    labelled_M: Tensor  # flattened positions whose next token is learnt
    targets_M: Tensor
    weights_M: Tensor
    slots_M: Tensor
    real_tokens: int

    def inputs(self) -> dict[str, Any]:
        """What the model is called with."""
        positions = {} if self.positions_BT is None else {"position_ids": self.positions_BT}
        return {"input_ids": self.ids_BT, "use_cache": False, **positions}

    @property
    def tokens(self) -> int:
        """Tokens computed, padding included."""
        return self.ids_BT.numel()


def lay_out(rows: Sequence[Row], packed: bool, pad_id: int, device: torch.device) -> Batch:
    """One pass over these rows. Rows of one slot must follow each other."""
    longest = max(len(row.sequence.input_ids) for row in rows)
    ids: list[int] = []
    positions: list[int] = []
    spans: list[Span] = []
    segments: list[tuple[int, int]] = []
    labelled, targets, weights, slots = [], [], [], []
    for row in rows:
        start, length = len(ids), len(row.sequence.input_ids)
        ids += row.sequence.input_ids
        positions += range(length)
        if not packed:
            ids += [pad_id] * (longest - length)
        if spans and (spans[-1].slot, spans[-1].dropout_seed) == (row.slot, row.dropout_seed):
            spans[-1] = Span(row.slot, spans[-1].start, len(ids), row.dropout_seed)
        else:
            spans.append(Span(row.slot, start, len(ids), row.dropout_seed))
        segments.append((start, start + length))
        for at, label in enumerate(row.sequence.labels[1:]):
            if label != IGNORE_LABEL:
                labelled.append(start + at)
                targets.append(label)
                weights.append(row.weight)
                slots.append(row.slot)

    def ints(values: list[int]) -> Tensor:
        return torch.tensor(values, device=device)

    return Batch(
        ids_BT=ints(ids).view(1 if packed else len(rows), -1),
        positions_BT=ints(positions)[None] if packed else None,
        spans=tuple(spans),
        segments=tuple(segments) if packed else (),
        labelled_M=ints(labelled),
        targets_M=ints(targets),
        weights_M=torch.tensor(weights, dtype=torch.float32, device=device),
        slots_M=ints(slots),
        real_tokens=len(positions),
    )


# ---------------------------------------------------------------- attention within segments


def use_segment_attention(base: BaseModel) -> None:
    """Let `base` attend segment by segment inside a packed pass, and as before elsewhere. Safe to repeat."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    before = base.module.config._attn_implementation
    if before is None or before.startswith(_PREFIX) or before not in ALL_ATTENTION_FUNCTIONS:
        return
    if before not in ALL_MASK_ATTENTION_FUNCTIONS or not base.module._can_set_attn_implementation():
        return
    name = _PREFIX + before
    AttentionInterface.register(name, _segments_or(ALL_ATTENTION_FUNCTIONS[before]))
    AttentionMaskInterface.register(name, ALL_MASK_ATTENTION_FUNCTIONS[before])
    base.module.set_attn_implementation(name)


def _segments_or(usual: Callable[..., Any]) -> Callable[..., Any]:
    def attention(
        module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **options: Any
    ) -> Any:
        route = current_route()
        segments = route.segments if isinstance(route, BankRoute) else ()
        if not segments or not _is_plain(module, segments, options):
            return usual(module, query, key, value, attention_mask, **options)
        scaling = options.get("scaling")
        scale = query.shape[-1] ** -0.5 if scaling is None else scaling
        return _SegmentAttention.apply(query, key, value, segments, scale), None  # type: ignore[no-untyped-call]

    return attention


_KNOWN_OPTIONS = {"scaling", "dropout", "is_causal", "sliding_window", "position_ids", "use_cache", "cache_position"}


def _is_plain(module: Any, segments: Sequence[tuple[int, int]], options: dict[str, Any]) -> bool:
    """Causal, no dropout, no window shorter than a segment, and nothing this code has not heard of."""
    window = options.get("sliding_window")
    return (
        not any(value is not None for name, value in options.items() if name not in _KNOWN_OPTIONS)
        and not options.get("dropout")
        and options.get("is_causal") is not False
        and getattr(module, "is_causal", True)
        and (window is None or max(stop - start for start, stop in segments) <= window)
    )


class _SegmentAttention(torch.autograd.Function):
    """Causal attention of each segment to itself, by plain matrix products.

    At a few hundred tokens the quadratic score matrix is small, and keeping it beats a fused kernel that recomputes it.
    Query heads that share a key head are stacked below each other, so that one product serves them all.
    """

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, segments: Sequence[tuple[int, int]], scale: float
    ) -> Tensor:
        heads, tokens = query.shape[1:3]
        shared = key.shape[1]
        out_NHE = query.new_empty(tokens, heads, value.shape[-1])
        kept = []
        for start, stop in segments:
            q, k, v = (x[0, :, start:stop].reshape(shared, -1, x.shape[-1]) for x in (query, key, value))
            mask = _causal(stop - start, heads // shared, q.dtype, q.device)
            probs = torch.baddbmm(mask, q, k.transpose(1, 2), alpha=scale).softmax(-1)
            _write(out_NHE[start:stop], probs @ v)
            kept += [q, k, v, probs]
        ctx.save_for_backward(*kept)
        ctx.segments, ctx.scale, ctx.shapes = segments, scale, (query.shape, key.shape, value.shape)
        return out_NHE[None]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        grads = [grad.new_empty(1, shape[2], shape[1], shape[3]).transpose(1, 2) for shape in ctx.shapes]
        kept, shared = ctx.saved_tensors, ctx.shapes[1][1]
        for i, (start, stop) in enumerate(ctx.segments):
            q, k, v, probs = kept[4 * i : 4 * i + 4]
            g = grad[0, start:stop].transpose(0, 1).reshape(shared, -1, v.shape[-1])
            grad_probs = g @ v.transpose(1, 2)
            grad_scores = torch.ops.aten._softmax_backward_data(grad_probs, probs, -1, probs.dtype)
            for into, part in zip(
                grads,
                (
                    (grad_scores @ k).mul_(ctx.scale),
                    (grad_scores.transpose(1, 2) @ q).mul_(ctx.scale),
                    probs.transpose(1, 2) @ g,
                ),
                strict=True,
            ):
                into[0, :, start:stop] = part.view(-1, stop - start, part.shape[-1])
        return (*grads, None, None)


def _write(out_THE: Tensor, product: Tensor) -> None:
    """Stacked heads back to tokens × heads."""
    tokens, heads, size = out_THE.shape
    out_THE.transpose(0, 1).copy_(product.view(heads, tokens, size))


_masks: dict[tuple[int, int, torch.dtype, torch.device], Tensor] = {}
_MAX_MASKS = 512


def _causal(length: int, repeats: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """0 where a token may look, -∞ where it may not; repeated for the query heads that share a key head."""
    key = (length, repeats, dtype, device)
    if key not in _masks:
        if len(_masks) >= _MAX_MASKS:
            _masks.clear()
        mask = torch.full((length, length), float("-inf"), dtype=dtype, device=device).triu(1)
        _masks[key] = mask.repeat(repeats, 1)[None]
    return _masks[key]


# ---------------------------------------------------------------- may this model be packed?


def hidden_of(base: BaseModel, batch: Batch) -> Tensor:
    """Last hidden states of all tokens, N×D; called inside a route."""
    hidden: Tensor = base.module.base_model(**batch.inputs())[0]
    return hidden.flatten(0, 1)


def packs(base: BaseModel) -> bool:
    """Whether packed sequences come out as each alone does: tried once per model, with two short ones.

    False for models that mix tokens by other means than attention over position ids.
    """
    known: bool | None = getattr(base.module, "_seal_packs", None)
    if known is None:
        known = _packs(base)
        base.module._seal_packs = known
    return known


@torch.no_grad()
def _packs(base: BaseModel) -> bool:
    vocabulary = base.module.get_input_embeddings().weight.shape[0]
    draw = torch.Generator().manual_seed(0)
    ids = [tuple(torch.randint(vocabulary, (length,), generator=draw).tolist()) for length in (7, 12)]
    rows = [Row(0, TrainingSequence(row, row), 1.0) for row in ids]
    alone = torch.cat([hidden_of(base, lay_out([row], False, base.pad_id, base.device)) for row in rows])
    batch = lay_out(rows, True, base.pad_id, base.device)
    try:
        nothing = LoraBank(base.module, (), 1, 1, base.device, base.dtype)
        with routed(BankRoute(nothing, (), batch.segments)):
            together = hidden_of(base, batch)
    except (RuntimeError, ValueError, TypeError):
        return False
    allowed = 1e-3 if base.dtype == torch.float32 else 5e-2
    return bool((together - alone).float().norm() <= allowed * alone.float().norm())
