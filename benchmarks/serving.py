"""Does `seal serve` answer many clients at once by the right adapters? How fast, beside one client and beside vLLM?

Adapters each learn an invented fact. Clients ask over OpenAI's HTTP interface on a real socket, each of its own
adapter: for the fact, which shows whose weights answered, and for a text, which shows the speed. Loads: one client;
many; many while the server learns a passage; and with --vllm the first two against vLLM's server over the same store.

    python benchmarks/serving.py --vllm .venv-vllm/bin/python     # 64 clients, 8 adapters, two minutes a load
    python benchmarks/serving.py --quick                          # half a minute in all, for a look

Loads that are finished are kept: the same command goes on where it was stopped. Prints a table and one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import shlex
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from parts import results_file
from parts.serving_load import Load, Measured, measure
from parts.serving_servers import seal_serves, teach_facts, vllm_serves

from seal_agent.config import InnerLoopConfig, SelfEditConfig
from seal_agent.errors import TrainingError
from seal_agent.model import SelfAdaptingModel

PASSAGE = "Tarnby Light stands on the island of Ossel. Imre Vasko keeps its lamp. It was lit in 1907."
LEARNING = InnerLoopConfig(alpha=64.0, null_space=0.0, shrink=0.0, openings=0)
QUICK = {"clients": 6, "adapters": 2, "seconds": 4.0, "tokens": 16}
PLAIN = {"style": "plain"}  # as the adapter says it, which is what vLLM's server answers


def main() -> None:
    options = _options()
    config = {name: getattr(options, name) for name in ("model", "clients", "adapters", "seconds", "tokens")}
    out = None if options.quick else options.out
    rows, run = results_file.load(out, config) if out else [], results_file.describe_run()
    with tempfile.TemporaryDirectory() as folder:
        seal = SelfAdaptingModel.from_pretrained(options.model, home=Path(folder) / "home")
        facts = teach_facts(seal, options.adapters)
        for load in [load for load in _loads(options) if not _is_measured(rows, load)]:
            with _served(load, seal, options, Path(folder)) as url:
                rows.append(asdict(_measure(load, seal, url, facts, options)))
            if out:
                results_file.save(out, config, run, rows)
    _show(rows)
    print(json.dumps({"config": config, "rows": rows}))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="default")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--adapters", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=120, help="of each load")
    parser.add_argument("--tokens", type=int, default=48, help="of each long text")
    parser.add_argument("--vllm", type=Path, help="python of an environment with vLLM: its server is measured too")
    parser.add_argument("--vllm-options", default="", help="more options of vLLM's server, in one string")
    parser.add_argument("--quick", action="store_true", help="a few seconds a load, written nowhere")
    parser.add_argument("--out", type=Path, default=results_file.RESULTS / "serving.json")
    options = parser.parse_args()
    if options.quick:
        vars(options).update(QUICK)
    return options


def _loads(options: argparse.Namespace) -> list[Load]:
    loads = [Load("seal", 1), Load("seal", options.clients), Load("seal", options.clients, adapting=True)]
    return loads + ([Load("vllm", 1), Load("vllm", options.clients)] if options.vllm else [])


def _is_measured(rows: list[dict[str, Any]], load: Load) -> bool:
    return any(Load(row["server"], row["clients"], row["adapting"]) == load for row in rows)


@contextmanager
def _served(load: Load, seal: SelfAdaptingModel, options: argparse.Namespace, folder: Path) -> Iterator[str]:
    """The address of the server that a load is for."""
    if load.server == "seal":
        with seal_serves(seal) as url:
            yield url
    else:
        more = shlex.split(options.vllm_options)
        log, dtype = folder / "vllm.log", seal.base.dtype
        with vllm_serves(options.vllm, options.model, dtype, seal.home, options.adapters, log, more) as url:
            yield url


def _measure(
    load: Load, seal: SelfAdaptingModel, url: str, facts: Mapping[str, str], options: argparse.Namespace
) -> Measured:
    extra = PLAIN if load.server == "seal" else {}
    measure(url, Load(load.server, 2), facts, 1, 4, extra)  # the first calls try how the model decodes
    with _learning(seal, load.adapting):
        return measure(url, load, facts, options.seconds, options.tokens, extra)


@contextmanager
def _learning(seal: SelfAdaptingModel, adapting: bool) -> Iterator[None]:
    """Learn a passage again and again meanwhile, and stop at once when all is measured."""
    measured = threading.Event()

    def progress(stage: str, done: int, total: int) -> None:
        if measured.is_set():
            raise TrainingError("measured")

    def learn() -> None:
        with suppress(TrainingError):
            for i in range(1000):
                seal.adapt(
                    PASSAGE,
                    adapter=f"new-{i}",
                    self_edit=SelfEditConfig(self_test=0),
                    inner_loop=LEARNING,
                    gate=None,
                    progress=progress,
                )

    thread = threading.Thread(target=learn)
    if adapting:
        thread.start()
    try:
        yield
    finally:
        measured.set()
        if adapting:
            thread.join()


def _show(rows: list[dict[str, Any]]) -> None:
    print("server  clients  adapting  answers  wrong  errors  tokens/s  first (95 %)     between (95 %)")
    for row in rows:
        print(
            f"{row['server']:>6}  {row['clients']:>7}  {'yes' if row['adapting'] else 'no':>8}  {row['answers']:>7}"
            f"  {row['wrong']:>5}  {len(row['errors']):>6}  {row['tokens_per_second']:>8}"
            f"  {row['first']:.3f} ({row['first_95']:.3f})  {row['between']:.3f} ({row['between_95']:.3f})"
        )


if __name__ == "__main__":
    main()
