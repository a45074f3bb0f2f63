"""Shared by all benchmarks: a results file that survives being stopped, accuracies and bootstrap intervals."""

from __future__ import annotations

import argparse
import gzip
import json
import os
import platform
import re
from collections.abc import Hashable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seal_agent.grading.grader import DirectnessGrader, Grader
from seal_agent.outer_loop.archive import facts
from seal_agent.outer_loop.report.interval import DRAWS, estimate
from seal_agent.types import Answer, Verdict

RESULTS = Path(__file__).parents[1] / "results"
PACKAGES = ("seal-agent", "torch", "transformers", "peft", "numpy")
MOST_ROWS_BYTES = 500_000  # more is for a program to read, not for a person
GROUP_DRAWS = 1000  # not tuned; fewer than DRAWS


# ---------------------------------------------------------------- the file


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


def place_for(name: str, options: argparse.Namespace) -> Path | None:
    """Where results go of a run that names no file: nowhere with --quick, else one of its own for a model and a GPU."""
    import torch

    if getattr(options, "quick", False):
        return None
    model, device = options.model, str(getattr(options, "device", ""))
    if device == "auto" and torch.cuda.is_available():
        device = "cuda"
    own = [*([] if model == "default" else [model]), *([device] if device.startswith("cuda") else [])]
    return RESULTS / ("-".join([name, *(re.sub(r"[^A-Za-z0-9.]+", "-", part) for part in own)]) + ".json")


def load(path: Path, config: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of an earlier run with the same config; empty if there is no such file.

    Ends the program where the file holds a run with another config, which `save` would overwrite.
    """
    if not path.is_file():
        return []
    earlier, own = read(path), json.loads(json.dumps(config))  # the round trip turns tuples into lists
    theirs = earlier["config"]
    if differing := sorted(name for name in {*own, *theirs} if own.get(name) != theirs.get(name)):
        raise SystemExit(
            f"{path} holds a run with other settings ({', '.join(differing)}); give --out another file, or move it away"
        )
    return list(earlier["rows"])


def read(path: Path) -> dict[str, Any]:
    """A results file with its rows, which stand in a compressed file beside it if they are many."""
    body: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if "rows_file" in body:
        raw = gzip.decompress((path.parent / body["rows_file"]).read_bytes())
        body["rows"] = [json.loads(line) for line in raw.decode().splitlines()]
    return body


def save(
    path: Path | None, config: dict[str, Any], run: dict[str, Any], rows: list[dict[str, Any]], **extra: Any
) -> None:
    """Write the file atomically: a draft beside it is renamed over it. Rows of more than `MOST_ROWS_BYTES` go first, to
    a compressed file of their own.

    Args:
        path: the results file; None writes nothing.
        config: the settings that an earlier run must share for `load` to return its rows.
        run: what `describe_run` returned when the run began.
        rows: one dictionary per measurement.
        extra: further top-level keys, such as `summary`.
    """
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    body: dict[str, Any] = {"config": config, "run": run, **extra}
    lines = "".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in rows).encode()
    if len(lines) > MOST_ROWS_BYTES:
        body["rows_file"] = f"{path.stem}.rows.jsonl.gz"
        _replace(path.parent / body["rows_file"], gzip.compress(lines, mtime=0))
    else:
        body["rows"] = rows
    _replace(path, json.dumps(body, ensure_ascii=False, indent=1).encode() + b"\n")


def _replace(path: Path, data: bytes) -> None:
    draft = path.with_suffix(".draft")
    draft.write_bytes(data)
    draft.replace(path)


def answer_row(answer: Answer, grader: Grader | None = None) -> dict[str, Any]:
    """An answer as it stands in the results file; with a grader that sees it, whether it is direct."""
    row = {
        "question": answer.question.text,
        "golds": answer.question.golds,
        "answer": answer.text,
        "verdict": answer.verdict.value,
    }
    if isinstance(grader, DirectnessGrader):
        row["direct"] = grader.direct(answer.question.text, answer.question.golds, answer.text).value
    return row


def explicit_options(options: argparse.Namespace, *names: str) -> dict[str, Any]:
    """Those of the named options that were set on the command line, lists as tuples.

    The others are left out, so that the package's defaults apply.
    """
    values = {name: getattr(options, name) for name in names}
    return {
        name: tuple(value) if isinstance(value, list) else value for name, value in values.items() if value is not None
    }


# ---------------------------------------------------------------- statistics


def accuracy(answers: Sequence[dict[str, Any]], verdict: str = "verdict") -> float:
    """Share of correct answers among the graded ones, 0..1; 0 if none could be graded. Takes `answer_row`s.

    Args:
        answers: rows of one passage.
        verdict: "verdict" (conveys the gold answer) or "direct"; the same for a grader that sees no difference.
    """
    verdicts = [answer.get(verdict, answer["verdict"]) for answer in answers]
    graded = [one for one in verdicts if one != Verdict.UNGRADED]
    return graded.count(Verdict.CORRECT) / max(1, len(graded))


def interval(passage_means: Sequence[float], seed: int = 0) -> tuple[float, float]:
    """95 % bootstrap interval of the mean over passages, since the questions of one passage are not independent."""
    mean = estimate(passage_means, seed)
    assert mean, "an interval needs at least one value"
    return mean.low, mean.high


def ratio_of_means(numerators: Sequence[float], denominators: Sequence[float]) -> tuple[float, list[float]] | None:
    """Ratio of the means of two measures of the same passages, with a 95 % bootstrap interval over passages, seed 0.

    None if the resampled denominator is 0 too often for the interval to have an upper end.
    """
    above, below = np.array(numerators), np.array(denominators)
    picks = np.random.default_rng(0).integers(0, len(above), (DRAWS, len(above)))
    above_means, below_means = above[picks].mean(1), below[picks].mean(1)
    positive = below_means > 0
    if positive.mean() < 0.975:
        return None
    low, high = np.quantile(above_means[positive] / below_means[positive], [0.025, 0.975])
    return float(above.mean() / below.mean()), [float(low), float(high)]


def auroc(above: Sequence[float], below: Sequence[float]) -> float:
    """Area under the ROC curve: how often a value of the first kind is above one of the second; ties count half."""
    first, second = np.array(above)[:, None], np.array(below)[None, :]
    return float(((first > second) + 0.5 * (first == second)).mean())


def group_resamples(groups: Sequence[Hashable]) -> Iterator[NDArray[np.int_]]:
    """Bootstrap samples of whole groups, seed 0: for each draw the row numbers of the groups drawn.

    `groups` names the group of each row.
    """
    members: dict[Hashable, list[int]] = {}
    for row, group in enumerate(groups):
        members.setdefault(group, []).append(row)
    rows, rng = list(members.values()), np.random.default_rng(0)
    for _ in range(GROUP_DRAWS):
        yield np.concatenate([rows[i] for i in rng.integers(0, len(rows), len(rows))])


def percent_cell(row: dict[str, Any], name: str, digits: int) -> str:
    """A share and its interval `NAME_interval` in percent, as a table's cell."""
    low, high = row[f"{name}_interval"]
    return f"{100 * row[name]:.{digits}f} ({100 * low:.{digits}f}–{100 * high:.{digits}f})"
