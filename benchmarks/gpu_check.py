"""Is the GPU's path right, and how fast is it? Everything in ten minutes, in one command.

    python benchmarks/gpu_check.py                       # on a machine with a GPU
    python benchmarks/gpu_check.py --device cpu --quick  # tries the script itself, at tiny sizes

First, CUDA graphs are recorded, dropped and recorded again, in one thread and in several. Then tiny models of several
architectures are trained and decoded on the GPU and on the processor, and compared. Then inner_loop.py, decode.py and
adapt_latency.py run, each in a process of its own, until the time is up. Weights are drawn on the device: nothing is
downloaded. adapt_latency.py takes the bundled model where it is installed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from parts import results_file
from parts.gpu_zoo import compare

from seal_agent.base_model.bundled import bundled_folder

FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Row:
    """One benchmark to run: its name in the results, and its command line."""

    name: str
    arguments: tuple[str, ...]


def main() -> None:
    options = _options()
    started, run = time.perf_counter(), results_file.describe_run()
    checks = []
    for check in compare(torch.device(options.device), options.quick):
        checks.append(check)
        print(check.line(), flush=True)
    rows: list[dict[str, Any]] = []
    for row in _rows(options):
        left = options.minutes * 60 - (time.perf_counter() - started)
        rows.append({"row": row.name, **_measure(row, left)})
        print(json.dumps(rows[-1]), flush=True)
        result = {"right": all(check.right for check in checks), "seconds": time.perf_counter() - started}
        seen = [check.as_json() for check in checks]
        results_file.save(options.out, {"device": options.device}, run, rows, checks=seen, summary=result)
    print(json.dumps(result))
    if not result["right"]:
        sys.exit(1)


def _rows(options: argparse.Namespace) -> list[Row]:
    """In the order of what is least known, so that little time still says much."""
    device = ("--device", options.device, "--out", str(options.out.with_suffix(".part.json")))
    small, large = ("random:tiny", "random:tiny") if options.quick else ("random:135m", "random:7b")
    short = ("--lengths", "8", "16") if options.quick else ()
    ks = "2" if options.quick else "32"
    rounds = ("--rounds", "1" if options.quick else "2")
    bank = ("inner_loop.py", *device, *rounds, *short, "--contenders", "bank", "--no-memory", "--no-plot")
    decode = ("decode.py", *device, *rounds, "--no-vllm", "--no-transformers")
    adapted = "default" if bundled_folder() and not options.quick else small
    recipe = ("--recipe", "paper", "--questions", "1") if options.quick else ()
    tokens = ("--tokens", "4") if options.quick else ("--tokens", "64")
    return [
        Row("135M, q and v", (*bank, "--model", small, "--ks", "1", ks)),
        Row("135M, decoding", (*decode, "--model", small, "--batches", "1", "8", *tokens)),
        Row("7B, q and v", (*bank, "--model", large, "--ks", "1", ks)),
        Row("7B, all projections", (*bank, "--model", large, "--ks", ks, "--targets", "all")),
        Row("7B, decoding", (*decode, "--model", large, "--batches", "1", "2" if options.quick else "32", *tokens)),
        Row("adapt", ("adapt_latency.py", *device, "--model", adapted, "--rounds", "2", *recipe)),
    ]


def _measure(row: Row, seconds_left: float) -> dict[str, Any]:
    """The benchmark's summary and what it printed; or why there is none."""
    if seconds_left < 10:
        return {"left_out": "the time is up"}
    script, *arguments = row.arguments
    command = [sys.executable, str(FOLDER / script), *arguments]
    started = time.perf_counter()
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds_left, check=False)
    except subprocess.TimeoutExpired:
        return {"left_out": f"not done after {seconds_left:.0f} s"}
    if done.returncode:
        return {"failed": done.stderr.strip().splitlines()[-12:]}
    *table, last = [line for line in done.stdout.splitlines() if line.strip()] or [""]
    try:
        summary = json.loads(last)
    except ValueError:
        return {"failed": [f"the last line that it printed is no JSON: {last[:200]!r}"]}
    warnings = [line for line in done.stderr.splitlines() if "graph" in line or "fails" in line or "Triton" in line]
    return {
        "seconds": round(time.perf_counter() - started, 1),
        "summary": summary,
        "table": [line for line in table if line.lstrip("\r\x1b[K").startswith("|") or "launches" in line],
        "warnings": warnings,
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--quick", action="store_true", help="tiny sizes everywhere, to try the script itself")
    parser.add_argument("--minutes", type=float, default=10.0, help="no benchmark runs beyond that")
    parser.add_argument("--out", type=Path, default=results_file.RESULTS / "gpu_check.json")
    options = parser.parse_args()
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        raise SystemExit("torch sees no GPU here; try the script itself with --device cpu --quick")
    return options


if __name__ == "__main__":
    main()
