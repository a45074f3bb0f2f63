"""Adapters are drawn ahead, packed and loaded in one transfer, and come out as they went in."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from bank_jobs import base_of, six_jobs
from conftest import random_adapter

from seal_agent.lora.adapter import LoraAdapter
from seal_agent.lora.peft_files import read_peft, write_peft
from seal_agent.lora.targets import find_targets
from seal_agent.training.bank.stacked_bank import StackedBank
from seal_agent.training.job_run import JobRun
from seal_agent.training.jobs import target_names, trainable_sequences
from seal_agent.training.stacked.starts import AHEAD, Starts, pack


def equal(left: LoraAdapter, right: LoraAdapter) -> bool:
    return left.pairs.keys() == right.pairs.keys() and all(
        torch.equal(left.pairs[n].a_DR, right.pairs[n].a_DR) and torch.equal(left.pairs[n].b_RO, right.pairs[n].b_RO)
        for n in left.pairs
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rank", [3, 8])
def test_a_packed_adapter_is_loaded_as_any_other(dtype: torch.dtype, rank: int) -> None:
    base = base_of("llama")
    bank = StackedBank(base.module, find_targets(base.module, ("all",)), 2, 8, torch.device("cpu"), dtype)
    adapter = random_adapter(base, 1, rank, ("all",))
    for slot in (0, 1):
        bank.load(slot, random_adapter(base, 2, 8, ("all",)))
    bank.load(0, adapter, 0.1)
    bank.load_packed(1, adapter, pack(adapter, fresh=False, pinned=False).flat, 0.1)
    assert torch.equal(bank.weights_KP[0], bank.weights_KP[1])
    assert torch.equal(bank.compute_KP[0], bank.compute_KP[1])
    assert (bank.scales[0], bank.dropouts[0]) == (bank.scales[1], bank.dropouts[1])
    assert equal(bank.export(1), adapter)


def test_what_is_exported_keeps_when_the_slot_is_taken(tmp_path: Path) -> None:
    base = base_of("llama")
    bank = StackedBank(base.module, find_targets(base.module, ("all",)), 1, 8, torch.device("cpu"), torch.float32)
    first, second = (random_adapter(base, seed, 8, ("all",)) for seed in (1, 2))
    bank.load(0, first)
    out = bank.export(0)
    bank.load(0, second)
    assert equal(out, first)
    write_peft(out, "tiny", "tiny-identity", tmp_path)
    assert equal(read_peft(tmp_path)[0], first)


def test_starts_come_in_the_order_of_the_queue_and_few_are_held() -> None:
    base = base_of("llama")
    jobs = six_jobs(base)
    runs = [JobRun(job, target_names(base, job), trainable_sequences(job.sequences), False) for job in jobs]
    starts = Starts(base, runs)
    for run in runs:
        start = starts.take(run)
        assert equal(start.adapter, run.start(base))
        assert start.fresh == (run.job.start is None)
        assert len(starts._drawn) <= AHEAD
    starts.close()
