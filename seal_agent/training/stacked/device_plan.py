"""The plan of a pass on the device: what the model reads, and the route of its layers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from seal_agent.training.bank.grouped_route import GroupedRoute
from seal_agent.training.bank.products import PaddedPlaces, Products, SlotPlaces
from seal_agent.training.bank.segments import Segments
from seal_agent.training.bank.stacked_bank import StackedBank
from seal_agent.training.bank.varlen import Kernel, VarlenAttention
from seal_agent.training.bank.varlen_plan import PrefixPlan, VarlenPlan
from seal_agent.training.packing import Batch
from seal_agent.training.stacked.layout import HostPlan
from seal_agent.training.stacked.transfer import Bundle, bundle_of, to_device


@dataclass(frozen=True, slots=True)
class Machinery:
    """What all passes of a pool have in common."""

    bank: StackedBank
    products: Products
    kernel: Kernel | None
    """Of attention; None: attention is batched products."""
    checkpointing: bool
    mask_1111: Tensor | None
    """In place of transformers' N×N mask, where no layer reads it."""


@dataclass(frozen=True, slots=True)
class DevicePlan:
    """A pass, ready to run."""

    batch: Batch
    route: GroupedRoute
    buffer: Tensor
    """Holds every tensor of the plan."""


def host_bundle(plan: HostPlan, pinned: bool) -> Bundle:
    """The tensors of a plan, ready for one transfer. Plans of equal sizes have equal bundles."""
    return bundle_of([*_plan_tensors(plan), *_attention_tensors(plan.attention), *_padding_tensors(plan)], pinned)


def device_plan(
    plan: HostPlan, bundle: Bundle, machinery: Machinery, device: torch.device, into: Tensor | None = None
) -> DevicePlan:
    """Copy a plan to the device; into the buffer of an earlier plan of the same sizes, if one is given."""
    on_device = to_device(bundle, device, into)
    tensors = iter(on_device.tensors)
    ids, positions, labelled, targets, probs, weights, slots, ends_K, scale_N1 = (next(tensors) for _ in range(9))
    attention = _attention(plan.attention, tensors)
    padded = PaddedPlaces(*(next(tensors) for _ in range(4))) if plan.padded is not None else None
    segments = Segments(plan.segments, device, plan.prefixes, plan.sizes.longest_key)
    batch = Batch(
        ids_BT=ids[None],
        positions_BT=positions[None],
        spans=plan.spans,
        segments=segments,
        labelled_M=labelled,
        targets_MJ=targets,
        target_probs_MJ=probs,
        weights_M=weights,
        slots_M=slots,
        real_tokens=plan.real_tokens,
        mask_1111=machinery.mask_1111,
    )
    route = GroupedRoute(
        machinery.bank,
        plan.spans,
        segments,
        machinery.checkpointing,
        machinery.products,
        SlotPlaces(ends_K, padded),
        scale_N1,
        VarlenAttention(machinery.kernel, attention) if machinery.kernel is not None else None,
    )
    return DevicePlan(batch, route, on_device.buffer)


def _plan_tensors(plan: HostPlan) -> list[Tensor]:
    labels = [plan.labelled_M, plan.targets_MJ, plan.target_probs_MJ, plan.weights_M, plan.slots_M]
    return [plan.ids_N, plan.positions_N, *labels, plan.ends_K, plan.scale_N1]


def _attention_tensors(plan: VarlenPlan) -> list[Tensor]:
    shared = plan.prefixes
    extra = [] if shared is None else [shared.key_token_U, shared.own_key_N, shared.token_P, shared.copies_PC]
    return [plan.query_starts, plan.key_starts, *extra, *([] if shared is None else [shared.real_PC11])]


def _attention(plan: VarlenPlan, tensors: Iterator[Tensor]) -> VarlenPlan:
    starts = next(tensors), next(tensors)
    shared = PrefixPlan(*(next(tensors) for _ in range(5))) if plan.prefixes is not None else None
    return VarlenPlan(*starts, plan.longest_query, plan.longest_key, shared)


def _padding_tensors(plan: HostPlan) -> list[Tensor]:
    padded = plan.padded
    return [] if padded is None else [padded.slots_S, padded.rows_SL, padded.real_SL1, padded.index_N]
