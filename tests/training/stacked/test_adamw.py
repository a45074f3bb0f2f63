"""The optimiser of all slots equals torch's, slot by slot."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest
import torch
from bank_jobs import base_of
from torch.testing import assert_close

from seal_agent.lora.targets import find_targets
from seal_agent.training.bank.stacked_bank import StackedBank
from seal_agent.training.stacked import adamw
from seal_agent.training.stacked.adamw import SlotUpdate, StackedAdamW

UPDATES = [SlotUpdate(0, 1e-2, 0.1, 1.0), SlotUpdate(2, 3e-3, 0.0, 0.05), SlotUpdate(3, 0.0, 0.0, 1.0)]


def compare_with_torch(dtype: torch.dtype, fused: bool) -> None:
    base = base_of("llama")
    bank = StackedBank(base.module, find_targets(base.module, ("all",)), 5, 8, torch.device("cpu"), dtype)
    draw = torch.Generator().manual_seed(0)
    bank.weights_KP.copy_(torch.randn(bank.weights_KP.shape, generator=draw))
    before = bank.weights_KP.clone()
    own = {u.slot: torch.nn.Parameter(before[u.slot].clone()) for u in UPDATES}
    theirs = {
        u.slot: torch.optim.AdamW([own[u.slot]], lr=u.learning_rate, weight_decay=u.weight_decay) for u in UPDATES
    }
    optimizer = StackedAdamW(bank, fused=fused)
    for round_number in range(4):
        updates = UPDATES[round_number % 2 :]  # slot 0 takes every other step
        for slot in range(bank.slots):
            bank.begin_step(slot)
        bank.grads_KP.copy_(torch.randn(bank.grads_KP.shape, generator=draw))
        for update in updates:
            own[update.slot].grad = bank.grads_KP[update.slot].clone()
            torch.nn.utils.clip_grad_norm_([own[update.slot]], update.max_grad_norm)
            theirs[update.slot].step()
        idle = [slot for slot in range(bank.slots) if slot not in {update.slot for update in updates}]
        untouched = bank.grads_KP[idle].clone()
        optimizer.step(updates)
        assert torch.equal(bank.grads_KP[idle], untouched)
        assert not bank.grads_KP[[update.slot for update in updates]].any()
    for slot, weights in own.items():
        assert_close(bank.weights_KP[slot], weights.detach(), atol=2e-6, rtol=1e-5)
        rounding = 2**-7 if fused else 0  # Triton's interpreter cuts off where a GPU rounds
        assert_close(bank.compute_KP[slot], bank.weights_KP[slot].to(dtype), atol=0, rtol=rounding)
    assert torch.equal(bank.weights_KP[[1, 4]], before[[1, 4]])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("chunk", [1 << 26, 1000])
def test_steps_are_those_of_torch(dtype: torch.dtype, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adamw, "CHUNK_NUMBERS", chunk)
    compare_with_torch(dtype, fused=False)


def test_a_slot_starts_afresh() -> None:
    base = base_of("llama")
    bank = StackedBank(base.module, find_targets(base.module, ("q_proj",)), 2, 8, torch.device("cpu"), torch.float32)
    optimizer = StackedAdamW(bank)

    def step() -> torch.Tensor:
        bank.weights_KP.zero_()
        bank.grads_KP.fill_(1.0)
        optimizer.step([SlotUpdate(0, 1e-2, 0.0, 10.0), SlotUpdate(1, 1e-2, 0.0, 10.0)])
        return bank.weights_KP.clone()

    first = step()
    step()
    optimizer.reset(1)
    again = step()
    assert torch.equal(again[1], first[1])
    assert not torch.equal(again[0], first[0])


@pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed")
def test_tritons_kernel_takes_the_same_steps() -> None:
    """In a process of its own: the interpreter is chosen when Triton is imported."""
    dtypes = "(torch.float32, torch.bfloat16)"
    code = f"import torch, test_adamw; [test_adamw.compare_with_torch(dtype, fused=True) for dtype in {dtypes}]"
    paths = [os.path.dirname(__file__), *sys.path]
    environment = os.environ | {"TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join(paths)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)


def test_a_kernel_that_cannot_be_built_gives_way_with_one_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise OSError("no C compiler\nand a long trace")

    monkeypatch.setitem(sys.modules, "seal_agent.training.stacked.adamw_kernel", type("broken", (), {"launch": broken}))
    compare_with_torch(torch.float32, fused=True)
    assert caplog.messages == ["Triton's optimiser kernel fails (no C compiler): tensor operations are used"]
