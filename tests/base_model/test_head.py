"""Logits of the last positions are one product, not a batch of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch.profiler import profile

from seal_agent.base_model.loading import load_model
from seal_agent.base_model.model import BaseModel


def test_the_last_positions_of_many_rows_meet_the_output_matrix_once(
    tiny_base: BaseModel, save_model: Callable[[BaseModel, Path], Path], tmp_path: Path
) -> None:
    module = load_model(save_model(tiny_base, tmp_path / "model"), device="cpu").module
    head = module.get_output_embeddings()
    hidden_BTD = torch.randn(8, 50, head.in_features, dtype=head.weight.dtype)
    with torch.inference_mode(), profile() as seen:
        logits_BLV = head(hidden_BTD[:, -3:])
    assert "aten::bmm" not in {event.key for event in seen.key_averages()}
    torch.testing.assert_close(logits_BLV, head(hidden_BTD)[:, -3:])
