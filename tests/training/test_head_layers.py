"""Adapters of earlier versions that change a layer of the output head load, go on, and train beside others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from bank_jobs import assert_same, random_sequences
from zoo.models import ZOO

from seal_agent.adaptation.adapt import check_settings
from seal_agent.config import InnerLoopConfig
from seal_agent.lora.adapter import new_adapter
from seal_agent.lora.peft_files import read_peft, write_peft
from seal_agent.lora.targets import find_targets
from seal_agent.training.jobs import TrainJob
from seal_agent.training.retention.spectra import principal_directions
from seal_agent.training.train import train

CONFIG = InnerLoopConfig(rank=4, alpha=8.0, epochs=2, learning_rate=3e-3, targets=("all",), batch_size=2)


def test_an_adapter_with_a_layer_of_the_head_goes_on_as_before(tmp_path: Path) -> None:
    base = next(model for model in ZOO if model.name == "modernbert-decoder").base()
    names = find_targets(base.module, ("all",))
    directions = principal_directions(base, names, [s.input_ids for s in random_sequences(9, 8, 20, 60)])
    write_peft(new_adapter(base.module, (*names, "lm_head.dense"), 4, 8.0, 0), base.name, base.identity, tmp_path)
    start, _ = read_peft(tmp_path)
    assert "lm_head.dense" in start.pairs
    check_settings("older", start, CONFIG, base)
    jobs = [TrainJob(random_sequences(i, 3, 10, 30), CONFIG, start, directions) for i in range(2)]
    for job, together in zip(jobs, train(base, jobs), strict=True):
        pair = together.adapter.pairs["lm_head.dense"]
        assert pair.b_RO.norm() > 0
        assert torch.isfinite(pair.a_DR).all()
        assert_same(together.adapter, train(base, [replace(job)])[0].adapter)
