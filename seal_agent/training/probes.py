"""What a base model allows: packed rows, shared prefixes. Tried once per model."""

from __future__ import annotations

import torch
from torch import Tensor

from seal_agent.base_model.model import BaseModel
from seal_agent.lora.routing import routed
from seal_agent.training.bank.route import BankRoute
from seal_agent.training.bank.storage import LoraBank
from seal_agent.training.packing import SHORTEST_PREFIX, Batch, Row, lay_out
from seal_agent.types import TrainingSequence


def last_hidden_states(base: BaseModel, batch: Batch) -> Tensor:
    """Last hidden states of all tokens, N×D; called inside a route."""
    hidden: Tensor = base.module.base_model(**batch.inputs())[0]
    return hidden.flatten(0, 1)


def supports_packing(base: BaseModel) -> bool:
    """Whether packed sequences come out as each alone does: tried once per model, with two short ones.

    False for models that mix tokens by other means than attention over position ids.
    """
    known: bool | None = getattr(base.module, "_seal_packs", None)
    if known is None:
        known = _packs(base)
        base.module._seal_packs = known
    return known


def supports_shared_prefixes(base: BaseModel) -> bool:
    """Whether sequences with a shared beginning come out as each alone does: tried once per model.

    False where attention is not plain and causal over the whole sequence, which `segments` leaves to transformers.
    """
    known: bool | None = getattr(base.module, "_seal_shares", None)
    if known is None:
        windowed = getattr(base.module.config.get_text_config(), "sliding_window", None) is not None
        known = supports_packing(base) and not windowed and _comes_out_alike(base, SHORTEST_PREFIX)
        base.module._seal_shares = known
    return known


def _packs(base: BaseModel) -> bool:
    return _comes_out_alike(base, 0)


@torch.no_grad()
def _comes_out_alike(base: BaseModel, prefix: int) -> bool:
    """Two short sequences packed, with a beginning of this length in common, against each alone."""
    vocabulary = base.module.get_input_embeddings().weight.shape[0]
    draw = torch.Generator().manual_seed(0)
    common, *own = (torch.randint(vocabulary, (length,), generator=draw).tolist() for length in (prefix, 7, 12))
    rows = [Row(0, TrainingSequence(ids, ids), 1.0, 0, prefix) for ids in ((*common, *tail) for tail in own)]
    alone = [last_hidden_states(base, lay_out([row], False, base.pad_id, base.device)) for row in rows]
    expected = torch.cat([alone[0], alone[1][prefix:]])
    batch = lay_out(rows, True, base.pad_id, base.device)
    try:
        nothing = LoraBank(base.module, (), 1, 1, base.device, base.dtype)
        with routed(BankRoute(nothing, (), batch.segments)):
            together = last_hidden_states(base, batch)
    except (AssertionError, RuntimeError, ValueError, TypeError):
        return False
    allowed = 1e-3 if base.dtype == torch.float32 else 5e-2
    return bool((together - expected).float().norm() <= allowed * expected.float().norm())
