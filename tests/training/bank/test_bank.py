"""The batched inner loop against the slow, obvious one: PEFT, one adapter at a time."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
import torch
from bank_jobs import adapters, assert_same, base_of, delta, questions, random_sequences, six_jobs
from conftest import random_adapter
from peft_reference import train_with_peft
from torch.testing import assert_close

from seal_agent.config import BankConfig, InnerLoopConfig
from seal_agent.errors import InputError, TrainingError
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.lora.routing import routed
from seal_agent.lora.targets import find_targets
from seal_agent.training import pool as pool_module
from seal_agent.training import train as train_module
from seal_agent.training.bank.attention import use_segment_attention
from seal_agent.training.bank.storage import LoraBank, bytes_per_slot, parameters_of
from seal_agent.training.jobs import TrainedAdapter, TrainJob, steps_of
from seal_agent.training.loss import CHUNK_POSITIONS, linear_cross_entropy
from seal_agent.training.packing import shareable_prefixes
from seal_agent.training.probes import supports_packing, supports_shared_prefixes
from seal_agent.training.train import train, train_each
from seal_agent.types import IGNORE_LABEL, SoftLabel

# ---------------------------------------------------------------- exactness


@pytest.mark.parametrize("name", ["llama", "gpt2", "qwen", "gemma"])
def test_six_unequal_jobs_in_a_bank_equal_six_runs_of_peft(name: str) -> None:
    base = base_of(name)
    jobs = six_jobs(base)
    results, report = train_each(base, jobs, bank=BankConfig(max_adapters=4, tokens_per_pass=150))
    assert report.resident == 4
    assert report.passes < sum(steps_of(job) for job in jobs)
    for job, got in zip(jobs, adapters(results), strict=True):
        want = train_with_peft(base, job)
        assert max(delta(got, n).abs().max() for n in got.pairs) > 1e-3
        assert_same(got, want)


def test_a_model_that_cannot_be_packed_is_trained_with_padding_and_equals_peft() -> None:
    base = base_of("mamba")
    assert not supports_packing(base)
    jobs = [replace(job, start=None) for job in six_jobs(base, ("in_proj", "x_proj"))[:3]]
    results, report = train_each(base, jobs)
    assert 0 < report.padding < 1
    for job, got in zip(jobs, adapters(results), strict=True):
        assert_same(got, train_with_peft(base, job))


@pytest.mark.parametrize("name", ["llama", "gpt2", "qwen", "gemma"])
def test_models_of_plain_attention_are_packed_without_padding(name: str) -> None:
    base = base_of(name)
    use_segment_attention(base)
    assert supports_packing(base)
    _, report = train_each(base, six_jobs(base)[:2])
    assert report.padding == 0


@pytest.mark.parametrize(
    "bank",
    [
        BankConfig(max_adapters=1),
        BankConfig(tokens_per_pass=1),
        BankConfig(max_adapters=2, tokens_per_pass=90),
        BankConfig(checkpointing=True),
    ],
    ids=["one at a time", "one row a pass", "two", "checkpointing"],
)
@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_how_the_bank_is_filled_does_not_change_what_is_learnt(bank: BankConfig, dropout: float) -> None:
    base = base_of("llama")
    jobs = [replace(job, config=replace(job.config, dropout=dropout)) for job in six_jobs(base)]
    usual, _ = train_each(base, jobs)
    other, _ = train_each(base, jobs, bank=bank)
    for left, right in zip(adapters(usual), adapters(other), strict=True):
        assert_same(left, right, atol=2e-6)


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_padded_and_packed_passes_agree(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    base = base_of(name)
    packed, _ = train_each(base, six_jobs(base))
    for module in (train_module, pool_module):
        monkeypatch.setattr(module, "supports_packing", lambda base: False)
    padded, report = train_each(base, six_jobs(base))
    assert 0 < report.padding < 0.6
    for left, right in zip(adapters(packed), adapters(padded), strict=True):
        assert_same(left, right, atol=1e-5)


def test_what_questions_begin_with_is_found() -> None:
    about_one, about_three, text = questions(0, 1, 4), questions(1, 3, 6), random_sequences(0, 1, 30, 30)
    assert [n >= 13 for n in shareable_prefixes([*about_one, *text])] == [True] * 4 + [False]
    assert set(shareable_prefixes(about_three)) == {10}
    assert shareable_prefixes([*about_one[:1], *about_three[:1], *text]) == [0, 0, 0]
    same = (about_one[0],) * 3  # the last token of the prompt predicts the answer, and stays with it
    assert (
        shareable_prefixes(same) == [next(i for i, label in enumerate(same[0].labels) if label != IGNORE_LABEL) - 1] * 3
    )


@pytest.mark.parametrize("name", ["llama", "gpt2", "qwen"])
@pytest.mark.parametrize("tokens", [40, 640])
def test_a_shared_beginning_teaches_what_each_alone_does(
    name: str, tokens: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, bank = base_of(name), BankConfig(max_adapters=2, tokens_per_pass=tokens)
    config = InnerLoopConfig(rank=4, alpha=8.0, epochs=3, learning_rate=3e-3, targets=("all",), batch_size=4)
    jobs = [
        TrainJob((*questions(0, 1, 7), *random_sequences(0, 2)), config),
        TrainJob(questions(1, 3, 6), config),
        TrainJob((*questions(0, 1, 5), *questions(2, 1, 5)), config),
    ]
    shared, report = train_each(base, jobs, bank=bank)
    assert supports_shared_prefixes(base)
    monkeypatch.setattr(train_module, "supports_shared_prefixes", lambda base: False)
    alone, whole = train_each(base, jobs, bank=bank)
    assert report.computed_tokens < (0.97 if tokens == 40 else 0.8) * whole.computed_tokens
    for left, right in zip(adapters(shared), adapters(alone), strict=True):
        assert_same(left, right, atol=2e-6)


@pytest.mark.parametrize("name", ["gemma", "mamba"])
def test_beginnings_are_not_shared_where_attention_is_not_ours(name: str) -> None:
    base = base_of(name)
    config = InnerLoopConfig(rank=2, epochs=1, targets=("all",), batch_size=4)
    train(base, [TrainJob(questions(0, 1, 4), config)])
    assert not supports_shared_prefixes(base)


def test_dropout_draws_are_a_sequences_own() -> None:
    base, config = base_of("llama"), InnerLoopConfig(rank=2, epochs=1, targets=("all",), batch_size=4, dropout=0.3)
    sequences = questions(0, 1, 4)
    _, report = train_each(base, [TrainJob(sequences, config)])
    assert report.computed_tokens == sum(len(s.input_ids) for s in sequences)


def test_checkpointing_keeps_less_and_recomputes_the_same_gradients() -> None:
    """With adapters that change every layer, a recomputation without its route would give other gradients."""
    base = base_of("llama")
    jobs = [replace(job, start=random_adapter(base, 3, job.config.rank, ("all",))) for job in six_jobs(base)[:1]]
    saved: list[int] = []

    def run(checkpointing: bool) -> LoraAdapter:
        saved.append(0)

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            saved[-1] += tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            return train(base, jobs, bank=BankConfig(checkpointing=checkpointing))[0].adapter

    assert_same(run(False), run(True), atol=1e-6)
    assert saved[1] < saved[0]


def test_a_recomputation_brings_its_own_route(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU the backward pass runs in a thread of its own, which has no route."""
    base, backward = base_of("llama"), torch.autograd.backward
    jobs = [replace(job, start=random_adapter(base, 3, job.config.rank, ("all",))) for job in six_jobs(base)[:1]]
    expected = train(base, jobs)[0].adapter

    def elsewhere(*tensors: Any) -> None:
        with routed(None):
            backward(*tensors)

    monkeypatch.setattr(torch.autograd, "backward", elsewhere)
    assert_same(expected, train(base, jobs, bank=BankConfig(checkpointing=True))[0].adapter, atol=1e-6)


# ---------------------------------------------------------------- the queue


def test_a_finished_adapter_makes_room_for_the_next_job() -> None:
    base = base_of("llama")
    jobs = six_jobs(base)
    results, report = train_each(base, jobs, bank=BankConfig(max_adapters=2, tokens_per_pass=1000))
    assert report.resident == 2
    assert report.real_tokens == sum(r.summary.tokens for r in results if isinstance(r, TrainedAdapter))
    longest = max(steps_of(job) for job in jobs)
    assert longest <= report.passes < sum(steps_of(job) for job in jobs)
    for job, got in zip(jobs, adapters(results), strict=True):
        assert_same(got, train(base, [job])[0].adapter, atol=2e-6)


def test_progress_counts_the_steps_of_all_jobs() -> None:
    base, seen = base_of("llama"), list[tuple[int, int]]()
    jobs = six_jobs(base)
    train(base, jobs, lambda done, total: seen.append((done, total)))
    total = sum(steps_of(job) for job in jobs)
    assert seen == [(i + 1, total) for i in range(total)]


def test_jobs_that_touch_other_layers_go_into_a_bank_of_their_own() -> None:
    base = base_of("llama")
    jobs = [*six_jobs(base)[:2], *six_jobs(base, ("q_proj",))[:2]]
    for job, result in zip(jobs, train(base, jobs), strict=True):
        assert_same(result.adapter, train_with_peft(base, job))


def test_early_stop_leaves_after_the_first_epoch_below_the_threshold() -> None:
    base = base_of("llama")
    config = InnerLoopConfig(rank=8, alpha=16.0, epochs=20, learning_rate=1e-2, batch_size=1)
    job = TrainJob(random_sequences(0, 3), config)
    whole = train(base, [job])[0].summary
    threshold = 0.5 * whole.epoch_losses[0]
    short, other = train(base, [replace(job, config=replace(config, stop_below_loss=threshold)), job])
    assert short.summary.epoch_losses[-1] < threshold <= short.summary.epoch_losses[-2]
    assert short.summary.steps == 3 * len(short.summary.epoch_losses) < whole.steps
    assert other.summary.steps == whole.steps


def test_a_job_that_fails_leaves_the_others_alone() -> None:
    base = base_of("llama")
    good = six_jobs(base)[0]
    wild = replace(good, config=replace(good.config, learning_rate=1e30, max_grad_norm=1e30))
    (first, failed, last), _ = train_each(base, [good, wild, good])
    assert isinstance(failed, TrainingError)
    assert "smaller learning_rate than 1e+30" in str(failed)
    alone = train(base, [good])[0].adapter
    for result in (first, last):
        assert isinstance(result, TrainedAdapter)
        assert_same(result.adapter, alone, atol=2e-6)
    with pytest.raises(TrainingError):
        train(base, [good, wild])


# ---------------------------------------------------------------- memory


def fail_above(monkeypatch: pytest.MonkeyPatch, slots: int, error: BaseException) -> None:
    """Passes of a bank with more slots run out of memory; on the third of them, so that work is under way."""
    usual, passes = pool_module.Pool._pass, [0]

    def scarce(pool: Any, batch: Any) -> Any:
        passes[0] += 1
        if pool.bank.slots > slots and passes[0] > 2:
            raise error
        return usual(pool, batch)

    monkeypatch.setattr(pool_module.Pool, "_pass", scarce)


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("DefaultCPUAllocator: can't allocate memory")],
)
def test_running_out_of_memory_halves_the_bank_and_goes_on(
    error: RuntimeError, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = base_of("llama")
    usual = train(base, six_jobs(base))
    fail_above(monkeypatch, 2, error)
    results, report = train_each(base, six_jobs(base), bank=BankConfig(max_adapters=6))
    assert report.halvings == 2  # 6, 3, 1
    for left, right in zip(adapters(results), usual, strict=True):
        assert_same(left, right.adapter, atol=2e-6)


def test_memory_too_small_for_one_adapter_is_an_error_with_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    base = base_of("llama")
    fail_above(monkeypatch, 0, torch.OutOfMemoryError("CUDA out of memory"))
    with pytest.raises(TrainingError, match="train on shorter texts"):
        train(base, six_jobs(base))


def fail_on_long(monkeypatch: pytest.MonkeyPatch, tokens: int, checkpointed: bool) -> None:
    """Passes of more tokens run out of memory; with `checkpointed` even if they recompute activations."""
    usual = pool_module.Pool._pass

    def scarce(pool: Any, batch: Any) -> Any:
        if batch.tokens > tokens and (checkpointed or not pool.checkpointing):
            raise torch.OutOfMemoryError("CUDA out of memory")
        return usual(pool, batch)

    monkeypatch.setattr(pool_module.Pool, "_pass", scarce)


@pytest.mark.parametrize("checkpointed", [True, False])
def test_a_text_too_long_for_the_memory_fails_alone_and_only_if_recomputing_does_not_help(
    checkpointed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, config = base_of("llama"), InnerLoopConfig(rank=4, alpha=8.0, epochs=1, targets=("all",), batch_size=3)
    short, other = (TrainJob(random_sequences(seed, 3, 10, 30), config) for seed in (0, 2))
    long = TrainJob((*random_sequences(1, 2, 10, 30), *random_sequences(5, 1, 70, 70)), config)
    jobs = [short, long, other]
    usual = train(base, jobs)
    fail_on_long(monkeypatch, 60, checkpointed)
    results = train_each(base, jobs)[0]
    for result, expected in zip(results, usual, strict=True):
        if isinstance(result, TrainedAdapter):
            assert_same(result.adapter, expected.adapter, atol=2e-6)
    failed = [isinstance(result, TrainingError) for result in results]
    assert failed == [False, checkpointed, False]
    if checkpointed:
        assert re.fullmatch(r"memory ran out .* rank 4 .* 70 tokens; train on shorter texts.*", str(results[1]))
        assert "Config" not in str(results[1]), "no product path takes a BankConfig"


def test_another_runtime_error_is_not_taken_for_lack_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    base = base_of("llama")
    fail_above(monkeypatch, 0, RuntimeError("something else"))
    with pytest.raises(RuntimeError, match="something else"):
        train(base, six_jobs(base))


def test_scarce_memory_means_fewer_resident_adapters(monkeypatch: pytest.MonkeyPatch) -> None:
    base = base_of("llama")
    jobs = six_jobs(base)
    rank = max(job.config.rank for job in jobs)
    each = bytes_per_slot(parameters_of(base.module, find_targets(base.module, ["all"]), rank), torch.float32)
    monkeypatch.setattr(train_module, "available_bytes", lambda device: 2 * 3 * each)
    _, report = train_each(base, jobs, bank=BankConfig(tokens_per_pass=10_000))
    assert report.resident == 3


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_slot_holds_what_is_said_of_it(dtype: torch.dtype) -> None:
    base = base_of("llama")
    names = find_targets(base.module, ["all"])
    bank = LoraBank(base.module, names, 3, 4, torch.device("cpu"), dtype)
    held = {t.data_ptr(): t.nbytes for t in (bank.weights_KP, bank._compute_KP, bank._grads_KP)}
    moments = 8 * bank.parameters
    assert bank.parameters == parameters_of(base.module, names, 4)
    assert sum(held.values()) / 3 + moments == bytes_per_slot(bank.parameters, dtype)


# ---------------------------------------------------------------- the bank


def test_a_slot_gives_back_what_was_put_in_whatever_its_rank() -> None:
    base = base_of("llama")
    bank = LoraBank(base.module, find_targets(base.module, ["all"]), 2, 6, torch.device("cpu"), torch.float32)
    large, small = (random_adapter(base, seed, rank, ("all",)) for seed, rank in ((1, 6), (2, 3)))
    for slot, adapter in ((0, large), (1, large), (1, small)):
        bank.load(slot, adapter)
    for slot, adapter in ((0, large), (1, small)):
        out = bank.export(slot)
        assert all(torch.equal(out.pairs[n].a_DR, pair.a_DR) for n, pair in adapter.pairs.items())
        assert all(torch.equal(out.pairs[n].b_RO, pair.b_RO) for n, pair in adapter.pairs.items())


def test_bf16_compute_keeps_float32_weights_and_learns_about_the_same() -> None:
    base = base_of("llama")
    job = six_jobs(base)[0]
    job = replace(job, config=replace(job.config, epochs=8, learning_rate=1e-2))
    exact = train(base, [job])[0]
    base.module.to(torch.bfloat16)
    (rough,) = train(base, [job])
    assert all(w.dtype == torch.float32 for pair in rough.adapter.pairs.values() for w in (pair.a_DR, pair.b_RO))
    assert rough.summary.epoch_losses == pytest.approx(exact.summary.epoch_losses, rel=0.05)
    assert rough.summary.epoch_losses[-1] < 0.8 * rough.summary.epoch_losses[0]  # the copy it computes with follows
    for name in exact.adapter.pairs:
        cosine = torch.cosine_similarity(delta(exact.adapter, name).flatten(), delta(rough.adapter, name).flatten(), 0)
        assert cosine > 0.9


def test_bank_settings_that_make_no_sense_are_refused() -> None:
    for name in ("max_adapters", "tokens_per_pass"):
        with pytest.raises(InputError, match=f"{name} must be at least 1"):
            BankConfig(**{name: 0})


# ---------------------------------------------------------------- the loss


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("rows", [1, CHUNK_POSITIONS, 2 * CHUNK_POSITIONS + 3])
def test_the_chunked_loss_and_its_gradient_are_those_of_cross_entropy(rows: int, bias: bool) -> None:
    draw = torch.Generator().manual_seed(0)
    hidden = torch.randn(rows, 24, generator=draw, requires_grad=True)
    weight = torch.randn(100, 24, generator=draw)
    offset = torch.randn(100, generator=draw) if bias else None
    targets = torch.randint(100, (rows,), generator=draw)
    weights = torch.rand(rows, generator=draw)
    want = torch.nn.functional.cross_entropy(
        torch.nn.functional.linear(hidden, weight, offset), targets, reduction="none"
    )
    (want * weights).sum().backward()
    nll, grad = linear_cross_entropy(hidden.detach(), weight, offset, targets[:, None], torch.ones(rows, 1), weights)
    assert_close(nll, want.detach(), atol=1e-5, rtol=1e-5)
    assert_close(grad, hidden.grad, atol=1e-6, rtol=1e-5)


def test_the_loss_of_soft_labels_is_the_cross_entropy_with_them_hard_ones_among_them() -> None:
    draw = torch.Generator().manual_seed(0)
    rows, top = CHUNK_POSITIONS + 5, 4
    hidden = torch.randn(rows, 24, generator=draw, requires_grad=True)
    weight = torch.randn(100, 24, generator=draw)
    targets = torch.stack([torch.randperm(100, generator=draw)[:top] for _ in range(rows)])
    expected = torch.rand(rows, top, generator=draw)
    expected[::3, 1:], targets[::3, 1:] = 0, 0
    expected /= expected.sum(1, keepdim=True)
    weights = torch.rand(rows, generator=draw)
    full = torch.zeros(rows, 100).scatter_add_(1, targets, expected)
    want = -(full * (hidden @ weight.T).log_softmax(-1)).sum(1)
    (want * weights).sum().backward()
    nll, grad = linear_cross_entropy(hidden.detach(), weight, None, targets, expected, weights)
    assert_close(nll, want.detach(), atol=1e-5, rtol=1e-5)
    assert_close(grad, hidden.grad, atol=1e-6, rtol=1e-5)


def test_soft_labels_are_learnt_instead_of_labels_and_weights_scale_the_loss() -> None:
    """A teacher that expects the label alone teaches what the label teaches; one that expects another, the other."""
    base = base_of("llama")
    (hard,) = random_sequences(0, 1)
    wrong = replace(hard, labels=tuple((label + 1) % 300 for label in hard.labels))
    taught = replace(wrong, soft_labels=tuple(SoftLabel((label,), (1.0,)) for label in hard.labels))
    settings = InnerLoopConfig(epochs=3, rank=4, alpha=8.0, targets=("default",), batch_size=1)
    results = [train(base, [TrainJob((s,), settings)])[0] for s in (hard, taught, wrong, replace(hard, weight=2.0))]
    assert_same(results[0].adapter, results[1].adapter)
    assert results[2].summary.epoch_losses != results[0].summary.epoch_losses
    assert results[3].summary.epoch_losses[0] == pytest.approx(2 * results[0].summary.epoch_losses[0])


def test_in_bf16_the_gradient_of_a_well_known_token_is_not_rounded_away() -> None:
    """With p near 1 the gradient is (p - 1) times a row; bf16 holds no p between 0.996 and 1."""
    hidden, weight = torch.zeros(1, 8), torch.eye(8)
    hidden[0, 3] = 9.0
    targets, expected, weights = torch.tensor([[3]]), torch.ones(1, 1), torch.ones(1)
    _, exact = linear_cross_entropy(hidden, weight, None, targets, expected, weights)
    _, rough = linear_cross_entropy(hidden.bfloat16(), weight.bfloat16(), None, targets, expected, weights)
    assert exact[0, 3] < -1e-4
    assert_close(rough.float(), exact, rtol=0.02, atol=0)
