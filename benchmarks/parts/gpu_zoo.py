"""Tiny models of several architectures, trained and decoded on a device and on the processor, and compared.

Before them, graphs are recorded on their own, as threads of a server record and drop them.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import torch
import transformers
from torch import Tensor, nn

from parts.random_models import byte_tokenizer, random_jobs
from seal_agent.base_model.graphs import recorder_for, release_memory
from seal_agent.base_model.model import BaseModel
from seal_agent.config import BankConfig, InnerLoopConfig
from seal_agent.generation.continuous import ContinuousEngine
from seal_agent.generation.hf import HFEngine
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.training.jobs import TrainedAdapter, TrainJob
from seal_agent.training.train import train_each
from seal_agent.types import Completion, Sampling

EXACT, ROUGH = 1e-3, 0.35  # largest relative difference of what is learnt from float32 on the processor
SAMPLING = Sampling(max_tokens=24)
PROMPTS = ["The ship", "A lamp burns all night on an island", "In the year", "Two dogs"] * 3

Decode = Callable[[BaseModel, Sequence[LoraAdapter | None]], list[Completion]]

_SHARED: dict[str, Any] = {
    "vocab_size": 512,
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 1024,
    "initializer_range": 0.1,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": 0,
}


def _zoo() -> dict[str, Any]:
    """Configs by name: plain, with biases, with norms of query and key, with capped scores, with transposed layers."""
    return {
        "llama": transformers.LlamaConfig(**_SHARED),
        "qwen2": transformers.Qwen2Config(**_SHARED),
        "qwen3": transformers.Qwen3Config(**_SHARED, head_dim=32),
        "mistral": transformers.MistralConfig(**_SHARED, sliding_window=None),
        "gemma2": transformers.Gemma2Config(**_SHARED, head_dim=32, query_pre_attn_scalar=32, sliding_window=64),
        "gpt2": transformers.GPT2Config(
            vocab_size=512, n_embd=128, n_layer=2, n_head=4, n_positions=1024, bos_token_id=None, eos_token_id=None
        ),
    }


@dataclass(frozen=True, slots=True)
class Check:
    """One comparison."""

    model: str
    what: str
    difference: float | None
    limit: float
    seconds: float
    note: str = ""

    @property
    def right(self) -> bool:
        return self.difference is not None and self.difference <= self.limit

    def line(self) -> str:
        seen = "—" if self.difference is None else f"{self.difference:.2g}"
        verdict = "ok  " if self.right else "FAIL"
        return f"{verdict} {self.model}, {self.what}: {seen} (at most {self.limit:g}), {self.seconds:.1f} s {self.note}"

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "right": self.right}


def compare(device: torch.device, quick: bool) -> Iterator[Check]:
    """Compare every model of the zoo; with `quick` the first, on fewer sequences."""
    if recorder_for(device) is not None:
        for threads, what in ((1, "recorded again after all were dropped"), (3, "the same in three threads at once")):
            yield _check("graphs", what, 0.0, partial(_wrong_replays, device, threads))
    for name, config in list(_zoo().items())[: 1 if quick else None]:
        torch.manual_seed(0)
        module = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        exact = _base(name, module, torch.device("cpu"), torch.float32)
        jobs = _jobs(exact, quick)
        wanted = _learnt(exact, jobs, BankConfig(stacked=False))
        for what, dtype, bank, limit in (
            ("float32", torch.float32, BankConfig(stacked=True), EXACT),
            ("bf16, launch by launch", torch.bfloat16, BankConfig(stacked=True, graphs=False), ROUGH),
            ("bf16, graphs", torch.bfloat16, BankConfig(stacked=True), ROUGH),
            ("bf16, as before", torch.bfloat16, BankConfig(stacked=False), ROUGH),
        ):
            base = _base(name, module, device, dtype)
            yield _check(name, f"training, {what}", limit, partial(_training_error, base, jobs, bank, wanted))
        yield _check(name, "decoding, float32", 0.0, partial(_other_texts, exact, module, device, wanted, _at_once))
        yield _check(name, "serving, float32", 0.0, partial(_other_texts, exact, module, device, wanted, _served))


def _wrong_replays(device: torch.device, threads: int) -> float:
    """Rounds in which replays wrote something wrong; after each, all graphs are dropped and memory is given back."""

    def rounds(_: int) -> int:
        recorder, sum_N, wrong = recorder_for(device), torch.zeros(1000, device=device), 0
        assert recorder is not None

        def work() -> None:
            sum_N.add_((sum_N + 1) - sum_N)  # takes memory of the pool

        for _ in range(3):
            sum_N.zero_()
            work()
            replays = [recorder.record(work) for _ in range(2)]
            for replay in replays:
                replay()
            wrong += int(bool((sum_N != 3).any()))
            del replay, replays
            release_memory()
        return wrong

    with ThreadPoolExecutor(threads) as pool:
        return float(sum(pool.map(rounds, range(threads))))


def _training_error(base: BaseModel, jobs: list[TrainJob], bank: BankConfig, wanted: list[LoraAdapter]) -> float:
    return _distance(_learnt(base, jobs, bank), wanted)


def _check(name: str, what: str, limit: float, difference: Callable[[], float]) -> Check:
    started = time.perf_counter()
    try:
        seen, note = difference(), ""
    except Exception as err:  # what fails here is what the check is for
        seen, note = None, f"{type(err).__name__}: {str(err).splitlines()[0] if str(err) else ''}"
    return Check(name, what, seen, limit, time.perf_counter() - started, note)


def _base(name: str, module: nn.Module, device: torch.device, dtype: torch.dtype) -> BaseModel:
    own: Any = copy.deepcopy(module).to(device, dtype).requires_grad_(False).eval()
    return BaseModel(f"tiny-{name}", own, byte_tokenizer(), name)


def _jobs(base: BaseModel, quick: bool) -> list[TrainJob]:
    config = InnerLoopConfig(
        rank=8, alpha=16.0, epochs=2 if quick else 6, learning_rate=2e-3, null_space=0.0, shrink=0.0, openings=0
    )
    jobs = random_jobs(base, 3 if quick else 5, config, (4, 8), (5, 20 if quick else 90))
    # As questions about one text, the sequences of a job begin alike.
    prefix = tuple(range(10, 30))
    shared = [replace(s, input_ids=prefix + s.input_ids, labels=(-100,) * 24 + s.labels[4:]) for s in jobs[0].sequences]
    return [replace(jobs[0], sequences=tuple(shared)), *jobs[1:]]


def _learnt(base: BaseModel, jobs: list[TrainJob], bank: BankConfig) -> list[LoraAdapter]:
    results, _ = train_each(base, jobs, bank=replace(bank, max_adapters=3, tokens_per_pass=900))
    assert all(isinstance(result, TrainedAdapter) for result in results), results
    return [result.adapter for result in results if isinstance(result, TrainedAdapter)]


def _distance(got: list[LoraAdapter], wanted: list[LoraAdapter]) -> float:
    """Norm of the difference of all updates over the norm of the updates."""

    def update(adapter: LoraAdapter, name: str) -> Tensor:
        return adapter.pairs[name].a_DR @ adapter.pairs[name].b_RO

    pairs = [(update(g, n), update(w, n)) for g, w in zip(got, wanted, strict=True) for n in w.pairs]
    return float(sum((g - w).square().sum() for g, w in pairs) / sum(w.square().sum() for _, w in pairs)) ** 0.5


def _other_texts(
    exact: BaseModel, module: nn.Module, device: torch.device, adapters: list[LoraAdapter], decode: Decode
) -> float:
    """Share of the rows that say something else on the device."""
    rows = [None, *adapters[:2]] * 4
    got = decode(_base("decoding", module, device, torch.float32), rows)
    wanted = HFEngine(exact, max_rows=4, static=False).generate(PROMPTS, SAMPLING, rows)
    return sum(g.text != w.text for g, w in zip(got, wanted, strict=True)) / len(PROMPTS)


def _at_once(base: BaseModel, rows: Sequence[LoraAdapter | None]) -> list[Completion]:
    """All prompts in one call."""
    return HFEngine(base, max_rows=4, static=True).generate(PROMPTS, SAMPLING, rows)


def _served(base: BaseModel, rows: Sequence[LoraAdapter | None]) -> list[Completion]:
    """Prompts that come one after the other while others are decoded, as a server's do."""
    engine = ContinuousEngine(base, max_rows=4, static=True)
    live = [engine.live_row(prompt, SAMPLING, adapter) for prompt, adapter in zip(PROMPTS, rows, strict=True)]
    waiting = list(live)
    while waiting or engine.live:
        if waiting:
            engine.join([waiting.pop(0)])
        engine.step()
    return [engine.completion(one) for one in live]
