"""What every benchmark shares: where it ran, and a results file that survives being stopped."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from seal_agent.outer_loop.archive import facts
from seal_agent.outer_loop.report.interval import DRAWS, estimate
from seal_agent.types import Answer, Verdict

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("seal-agent", "torch", "transformers", "peft", "numpy")


def describe_run() -> dict[str, Any]:
    """Hardware, package versions and commit of this run."""
    import torch

    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": facts.processor(),
        "cores": os.cpu_count(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": {name: facts.installed(name) for name in PACKAGES},
        "commit": facts.commit(),
    }


def load(path: Path, config: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of an earlier, stopped run with the same config; none where the config differs."""
    if not path.is_file():
        return []
    earlier = json.loads(path.read_text(encoding="utf-8"))
    same = earlier["config"] == json.loads(json.dumps(config))  # which makes lists of tuples
    return list(earlier["rows"]) if same else []


def save(path: Path, config: dict[str, Any], run: dict[str, Any], rows: list[dict[str, Any]], **more: Any) -> None:
    """Write the whole file beside its place and rename it there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    body = {"config": config, "run": run, **more, "rows": rows}
    draft.write_text(json.dumps(body, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    draft.replace(path)


def answer_row(answer: Answer) -> dict[str, Any]:
    """An answer as it is kept."""
    return {
        "question": answer.question.text,
        "golds": answer.question.golds,
        "answer": answer.text,
        "verdict": answer.verdict.value,
    }


def share_right(answers: Sequence[dict[str, Any]]) -> float:
    """Of answers as they are kept, 0..1; what could not be graded is left out, and 0 where nothing could."""
    graded = [answer["verdict"] for answer in answers if answer["verdict"] != Verdict.UNGRADED]
    return graded.count(Verdict.CORRECT) / max(1, len(graded))


def ratio(passage_means: Sequence[float], others: Sequence[float]) -> tuple[float, list[float]] | None:
    """Of the means of two measures of the same passages, with its 95 % bootstrap interval over passages, seed 0.

    None where the second is 0 for so many passages that the interval has no end.
    """
    mine, theirs = np.array(passage_means), np.array(others)
    picks = np.random.default_rng(0).integers(0, len(mine), (DRAWS, len(mine)))
    above, below = mine[picks].mean(1), theirs[picks].mean(1)
    if (below > 0).mean() < 0.975:
        return None
    low, high = np.quantile(above[below > 0] / below[below > 0], [0.025, 0.975])
    return float(mine.mean() / theirs.mean()), [float(low), float(high)]


def interval(passage_means: Sequence[float], seed: int = 0) -> tuple[float, float]:
    """95 % bootstrap interval of the mean; whole passages are drawn, since their questions hang together."""
    found = estimate(passage_means, seed)
    assert found, "an interval needs at least one value"
    return found.low, found.high
