"""The stacked inner loop of GPUs, run on the processor: it equals the bank's other way, and PEFT."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from bank_jobs import adapters, assert_same, base_of, delta, questions, random_sequences, six_jobs
from peft_reference import train_with_peft

from seal_agent.base_model.model import BaseModel
from seal_agent.config import BankConfig, InnerLoopConfig
from seal_agent.errors import TrainingError
from seal_agent.lora.targets import find_targets
from seal_agent.training.bank.products import GroupedProducts
from seal_agent.training.bank.varlen import PlainKernel
from seal_agent.training.jobs import BankReport, TrainedAdapter, TrainJob
from seal_agent.training.retention.spectra import principal_directions
from seal_agent.training.stacked import pool as pool_module
from seal_agent.training.stacked.runner import PassRunner
from seal_agent.training.train import train_each
from seal_agent.types import SoftLabel, TrainingSummary

PLAIN = BankConfig(max_adapters=4, tokens_per_pass=150, stacked=False)
STACKED = BankConfig(max_adapters=4, tokens_per_pass=150, stacked=True)


class ReplayByRunning:
    """Records by keeping the work: a replay runs it again, on what its tensors hold by then."""

    def __init__(self) -> None:
        self.replays = 0

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        def replay() -> None:
            self.replays += 1
            work()

        return replay


def use_gpu_parts(monkeypatch: pytest.MonkeyPatch, recorder: Any = None) -> list[PassRunner]:
    """Grouped products, a kernel of variable length and recordings, as on a GPU. Returns the runners as they appear."""
    runners: list[PassRunner] = []

    class Watched(PassRunner):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            runners.append(self)

    monkeypatch.setattr(pool_module, "choose_products", lambda *_: GroupedProducts())
    monkeypatch.setattr(pool_module, "choose_kernel", lambda *_: PlainKernel())
    monkeypatch.setattr(pool_module, "recorder_for", lambda _: recorder)
    monkeypatch.setattr(pool_module, "PassRunner", Watched)
    return runners


def train_both_ways(base: BaseModel, jobs: Sequence[TrainJob]) -> tuple[list[Any], list[Any], BankReport, BankReport]:
    plain, plain_report = train_each(base, jobs, bank=PLAIN)
    stacked, stacked_report = train_each(base, jobs, bank=STACKED)
    return plain, stacked, plain_report, stacked_report


@pytest.mark.parametrize("name", ["llama", "gpt2", "qwen", "gemma"])
def test_six_unequal_jobs_equal_six_runs_of_peft(name: str) -> None:
    base = base_of(name)
    jobs = six_jobs(base)
    plain, stacked, plain_report, report = train_both_ways(base, jobs)
    assert report == plain_report
    for job, left, right in zip(jobs, adapters(plain), adapters(stacked), strict=True):
        assert max(delta(right, n).abs().max() for n in right.pairs) > 1e-3
        assert_same(left, right)
        assert_same(right, train_with_peft(base, job))
    for left, right in zip(plain, stacked, strict=True):
        assert left.summary.epoch_losses == pytest.approx(right.summary.epoch_losses, rel=1e-4)
        assert replace(left.summary, epoch_losses=()) == replace(right.summary, epoch_losses=())


@pytest.mark.parametrize("name", ["llama", "gpt2", "qwen", "gemma"])
def test_with_the_parts_of_a_gpu_it_is_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    base, recorder = base_of(name), ReplayByRunning()
    jobs = six_jobs(base)
    want, _ = train_each(base, jobs, bank=PLAIN)
    runners = use_gpu_parts(monkeypatch, recorder)
    got, _ = train_each(base, jobs, bank=STACKED)
    assert (recorder.replays > 5) == (name != "gemma")  # Gemma 2 caps its scores: its masks are transformers' own
    assert all(runner.recordings for runner in runners) == (name != "gemma")
    for left, right in zip(adapters(want), adapters(got), strict=True):
        assert_same(left, right)


def question_jobs() -> list[TrainJob]:
    config = InnerLoopConfig(rank=4, alpha=8.0, epochs=6, learning_rate=3e-3, targets=("all",), batch_size=4)
    return [
        TrainJob((*questions(0, 1, 7), *random_sequences(0, 2)), config),
        TrainJob(questions(1, 3, 6), config),
        TrainJob((*questions(0, 1, 5), *questions(2, 1, 5)), config),
    ]


@pytest.mark.parametrize("name", ["llama", "gpt2", "qwen"])
@pytest.mark.parametrize("graphs", [False, True])
def test_shared_prefixes_teach_what_each_sequence_alone_does(
    name: str, graphs: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, recorder = base_of(name), ReplayByRunning()
    want, report = train_each(base, question_jobs(), bank=replace(PLAIN, tokens_per_pass=640))
    assert report.computed_tokens < 0.8 * sum(
        result.summary.tokens for result in want if isinstance(result, TrainedAdapter)
    )
    use_gpu_parts(monkeypatch, recorder)
    bank = BankConfig(stacked=True, graphs=graphs, tokens_per_pass=640)
    got, stacked_report = train_each(base, question_jobs(), bank=bank)
    assert (recorder.replays > 0) == graphs
    assert (stacked_report.computed_tokens > report.computed_tokens) == graphs  # padding up to sizes that recur
    for left, right in zip(adapters(want), adapters(got), strict=True):
        assert_same(left, right, atol=5e-6)


def test_soft_labels_and_weights_teach_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    base = base_of("llama")
    sequences = [
        replace(
            s,
            soft_labels=tuple(SoftLabel((i, (i + 7) % 320), (0.75, 0.25)) if i % 2 else None for i in s.input_ids),
            weight=0.5,
        )
        for s in random_sequences(3, 4)
    ]
    job = TrainJob((*sequences, *random_sequences(4, 3)), InnerLoopConfig(rank=4, alpha=8.0, epochs=3, batch_size=3))
    want, _ = train_each(base, [job, job], bank=PLAIN)
    use_gpu_parts(monkeypatch, ReplayByRunning())
    got, _ = train_each(base, [job, job], bank=STACKED)
    for left, right in zip(adapters(want), adapters(got), strict=True):
        assert_same(left, right)


@pytest.mark.parametrize(
    "bank",
    [replace(STACKED, max_adapters=1), replace(STACKED, tokens_per_pass=1), replace(STACKED, checkpointing=True)],
    ids=["one at a time", "one row a pass", "checkpointing"],
)
@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_how_the_bank_is_filled_does_not_change_what_is_learnt(bank: BankConfig, dropout: float) -> None:
    base = base_of("llama")
    jobs = [replace(job, config=replace(job.config, dropout=dropout)) for job in six_jobs(base)]
    plain, _ = train_each(base, jobs, bank=PLAIN)
    stacked, _ = train_each(base, jobs, bank=bank)
    for left, right in zip(adapters(plain), adapters(stacked), strict=True):
        assert_same(left, right)


@pytest.mark.parametrize("graphs", [False, True])
def test_a_job_that_fails_leaves_the_others_alone(graphs: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    base = base_of("llama")
    good = six_jobs(base)[0]
    wild = replace(good, config=replace(good.config, learning_rate=1e30, max_grad_norm=1e30))
    want = adapters(train_each(base, [good], bank=PLAIN)[0])[0]
    use_gpu_parts(monkeypatch, ReplayByRunning())
    (first, failed, last, queued), _ = train_each(
        base, [good, wild, good, good], bank=replace(STACKED, max_adapters=3, graphs=graphs)
    )
    assert isinstance(failed, TrainingError)
    assert "smaller learning_rate than 1e+30" in str(failed)
    for result in (first, last, queued):
        assert isinstance(result, TrainedAdapter)
        assert_same(result.adapter, want)


def test_early_stop_and_protection_are_those_of_the_other_way() -> None:
    base = base_of("llama")
    usual = InnerLoopConfig(rank=8, alpha=16.0, epochs=8, learning_rate=1e-2, batch_size=1, max_update=0.02)
    names = find_targets(base.module, usual.targets)
    texts = [s.input_ids for s in random_sequences(9, 6)]
    directions = principal_directions(base, names, texts)
    job = TrainJob(random_sequences(0, 3), usual, directions=directions)
    plain, _ = train_each(base, [job], bank=PLAIN)
    threshold = 0.95 * adapters_summary(plain[0]).epoch_losses[0]
    early = replace(job, config=replace(usual, stop_below_loss=threshold))
    want, _ = train_each(base, [early, job], bank=PLAIN)
    got, _ = train_each(base, [early, job], bank=STACKED)
    assert adapters_summary(want[0]).steps < adapters_summary(want[1]).steps
    for left, right in zip(want, got, strict=True):
        assert adapters_summary(left).steps == adapters_summary(right).steps
    for left, right in zip(adapters(want), adapters(got), strict=True):
        assert_same(left, right, atol=1e-4)


def adapters_summary(result: TrainedAdapter | TrainingError) -> TrainingSummary:
    assert isinstance(result, TrainedAdapter)
    return result.summary


def test_gradients_in_bf16_are_as_near_to_float32_as_those_of_the_other_way(monkeypatch: pytest.MonkeyPatch) -> None:
    exact, rough = base_of("llama"), base_of("llama")
    rough.module.to(torch.bfloat16)
    jobs = [replace(job, start=None) for job in six_jobs(exact)[:5]]
    want = adapters(train_each(exact, jobs, bank=PLAIN)[0])

    def error(base: BaseModel, bank: BankConfig) -> float:
        got = adapters(train_each(base, jobs, bank=bank)[0])
        pairs = [(delta(g, n), delta(w, n)) for g, w in zip(got, want, strict=True) for n in w.pairs]
        return float(sum((g - w).norm() ** 2 for g, w in pairs) / sum(w.norm() ** 2 for _, w in pairs)) ** 0.5

    plain_error = error(rough, PLAIN)
    use_gpu_parts(monkeypatch, ReplayByRunning())
    assert error(rough, STACKED) < 1.2 * plain_error


def test_running_out_of_memory_halves_the_bank_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    base = base_of("llama")
    want = adapters(train_each(base, six_jobs(base), bank=PLAIN)[0])
    usual, passes = PassRunner.run, [0]

    def scarce(runner: PassRunner, rows: Any) -> Any:
        passes[0] += 1
        if runner._machinery.bank.slots > 2 and passes[0] > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return usual(runner, rows)

    monkeypatch.setattr(PassRunner, "run", scarce)
    results, report = train_each(base, six_jobs(base), bank=replace(STACKED, max_adapters=6))
    assert report.halvings == 2
    for left, right in zip(want, adapters(results), strict=True):
        assert_same(left, right)


def test_a_recorder_that_fails_leaves_the_passes_as_they_were(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        def record(self, work: Callable[[], None]) -> Callable[[], None]:
            raise RuntimeError("operation not permitted when stream is capturing\nmore")

    base = base_of("llama")
    want = adapters(train_each(base, six_jobs(base), bank=PLAIN)[0])
    use_gpu_parts(monkeypatch, Broken())
    got = adapters(train_each(base, six_jobs(base), bank=STACKED)[0])
    assert len(caplog.messages) == 1
    assert "without a CUDA graph" in caplog.text
    for left, right in zip(want, got, strict=True):
        assert_same(left, right)


def test_models_that_cannot_be_packed_are_trained_as_before() -> None:
    base = base_of("mamba")
    jobs = [replace(job, start=None) for job in six_jobs(base, ("in_proj", "x_proj"))[:3]]
    for left, right in zip(*(adapters(train_each(base, jobs, bank=bank)[0]) for bank in (PLAIN, STACKED)), strict=True):
        assert_same(left, right, atol=0)


def test_passes_too_large_to_be_kept_are_launched_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    base, recorder = base_of("llama"), ReplayByRunning()
    want, report = train_each(base, question_jobs(), bank=PLAIN)
    use_gpu_parts(monkeypatch, recorder)
    monkeypatch.setattr(pool_module, "_recordable_tokens", lambda _: 20)
    got, stacked_report = train_each(base, question_jobs(), bank=STACKED)
    assert recorder.replays == 0
    assert stacked_report == report
    for left, right in zip(adapters(want), adapters(got), strict=True):
        assert_same(left, right, atol=5e-6)
