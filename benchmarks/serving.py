"""How many tokens a second does `seal serve` write for one client and for many, and how late during an adaptation?

Each client uses one of several adapters with random weights, so that all rows differ, through OpenAI's HTTP interface
on a real socket. Prints a table and one line of JSON.

    python benchmarks/serving.py --clients 16 --adapters 4 --seconds 20
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx
import torch

from seal_agent.config import InnerLoopConfig, SelfEditConfig
from seal_agent.errors import TrainingError
from seal_agent.integrations.server.app import Settings, create_app
from seal_agent.integrations.server.run import server
from seal_agent.lora.adapter import LoraAdapter, LoraPair, new_adapter
from seal_agent.lora.targets import find_targets
from seal_agent.model import SelfAdaptingModel
from seal_agent.store import files
from seal_agent.types import Context, Revision, TrainingSummary

PROMPT = "The lighthouse stands on an island far to the north, and"
PASSAGE = "Tarnby Light stands on the island of Ossel. Imre Vasko keeps its lamp. It was lit in 1907."
QUICK = InnerLoopConfig(alpha=64.0, null_space=0.0, shrink=0.0, openings=0)


@dataclass(frozen=True)
class Measured:
    """One load: tokens a second in all, and seconds to the first and between later tokens (median, 95th percentile)."""

    clients: int
    adapting: bool
    answers: int
    tokens_per_second: float
    first: float
    first_95: float
    between: float
    between_95: float


def ask(url: str, model: str, until: float, tokens: int) -> tuple[int, int, list[float], list[float]]:
    """Answers one after the other until time is up: answers, tokens, seconds to the first and between others."""
    answers, written, firsts, between = 0, 0, list[float](), list[float]()
    body = {"model": model, "prompt": PROMPT, "max_tokens": tokens, "stream": True, "temperature": 1.0}
    with httpx.Client(timeout=300) as client:
        while time.monotonic() < until:
            last, first = time.monotonic(), True
            with client.stream("POST", f"{url}/v1/completions", json=body) as answer:
                answer.raise_for_status()
                for line in answer.iter_lines():
                    if line.startswith("data: {") and json.loads(line[6:])["choices"][0]["text"]:
                        now = time.monotonic()
                        (firsts if first else between).append(now - last)
                        last, first, written = now, False, written + 1
            answers += 1
    return answers, written, firsts, between


def measure(url: str, names: list[str], clients: int, seconds: float, tokens: int, adapting: bool) -> Measured:
    started = time.monotonic()
    with ThreadPoolExecutor(clients) as pool:
        asked = [pool.submit(ask, url, names[i % len(names)], started + seconds, tokens) for i in range(clients)]
        results = [one.result() for one in asked]
    took = time.monotonic() - started
    firsts = sorted(second for result in results for second in result[2])
    between = sorted(second for result in results for second in result[3])
    return Measured(
        clients,
        adapting,
        sum(result[0] for result in results),
        round(sum(result[1] for result in results) / took, 1),
        *(round(value, 3) for value in (*_spread(firsts), *_spread(between))),
    )


def _spread(values: list[float]) -> tuple[float, float]:
    return (statistics.median(values), values[int(0.95 * (len(values) - 1))]) if values else (0.0, 0.0)


def add_adapters(seal: SelfAdaptingModel, count: int) -> list[str]:
    """Adapters with small random weights."""
    names = [f"adapter-{i}" for i in range(count)]
    for i, name in enumerate(names):
        fresh = new_adapter(seal.base.module, find_targets(seal.base.module, ("all",)), 32, 32.0, seed=i)
        noise = torch.Generator().manual_seed(i)
        pairs = {
            layer: LoraPair(pair.a_DR, torch.randn(pair.b_RO.shape, generator=noise) * 1e-3)
            for layer, pair in fresh.pairs.items()
        }
        weights = LoraAdapter(fresh.rank, fresh.alpha, pairs, fresh.transposed)
        folder = files.save(weights, seal.base.name, seal.base.identity, seal.ledger.adapters_folder)
        revision = Revision(
            name, name, None, "2026-01-01T00:00:00+00:00", seal.base.identity, Context(name), (), (), (), (),
            TrainingSummary(1, 1, 1, (1.0,)), True, "random weights",
        )  # fmt: skip
        seal.ledger.record(revision, name, folder)
    return names


def adapt_until(seal: SelfAdaptingModel, measured: threading.Event) -> None:
    """Learn a passage, but stop as soon as all is measured."""

    def progress(stage: str, done: int, total: int) -> None:
        if measured.is_set():
            raise TrainingError("measured")

    with suppress(TrainingError):
        seal.adapt(
            PASSAGE,
            adapter="new",
            self_edit=SelfEditConfig(self_test=0),
            inner_loop=QUICK,
            gate=None,
            progress=progress,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="default")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--adapters", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--tokens", type=int, default=48)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        seal = SelfAdaptingModel.from_pretrained(options.model, home=Path(home))
        names = add_adapters(seal, options.adapters)
        settings = Settings()
        running = server(create_app(seal, settings), "127.0.0.1", 0, settings.limits)
        threading.Thread(target=running.run, daemon=True).start()
        while not running.started:
            time.sleep(0.01)
        url = f"http://127.0.0.1:{running.servers[0].sockets[0].getsockname()[1]}"
        measure(url, names, 2, 1, 4, False)  # the first call tries how the model decodes
        loads = [
            measure(url, names, clients, options.seconds, options.tokens, False) for clients in (1, options.clients)
        ]
        measured = threading.Event()
        adapting = threading.Thread(target=adapt_until, args=(seal, measured))
        adapting.start()
        loads.append(measure(url, names, options.clients, options.seconds, options.tokens, True))
        still = adapting.is_alive()
        measured.set()
        adapting.join()
        running.should_exit = True
    print("clients  adapting  answers  tokens/s  first (95 %)     between (95 %)")
    for load in loads:
        print(
            f"{load.clients:>7}  {'yes' if load.adapting else 'no':>8}  {load.answers:>7}  {load.tokens_per_second:>8}"
            f"  {load.first:.3f} ({load.first_95:.3f})  {load.between:.3f} ({load.between_95:.3f})"
        )
    print(json.dumps({"loads": [asdict(load) for load in loads], "adapting_throughout": still, **vars(options)}))


if __name__ == "__main__":
    main()
