"""Every answer of a run, in a compressed file beside the results."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import ConfigDict, TypeAdapter, ValidationError

from seal_agent.errors import InputError
from seal_agent.evaluation.files import write_atomically
from seal_agent.types import Verdict

_STRICT = ConfigDict(extra="forbid")  # a field that there is not is refused
SUFFIX = ".samples.jsonl.gz"
UNANSWERED = "[no answer: "
"""Prefix of an answer whose context could not be learnt; the reason and "]" follow. It is ungraded, not wrong."""
BASE = -1
"""The step before anything is learnt."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One answer. `direct` is "" where the grader cannot tell; `seed` is that of the adapter.

    In a sequence of edits, `passage` is asked about after edit number `step`, counted from 0; `BASE` is the base model.
    In `harm`, `step` is 0 after the passage was learnt, and `passage` says what else the question is about.
    """

    __pydantic_config__ = _STRICT

    unit: str
    seed: int
    question: str
    golds: tuple[str, ...]
    answer: str
    verdict: Verdict
    direct: str = ""
    prompt_tokens: int | None = None
    recalled: str = ""
    confidence: float | None = None
    passage: str = ""
    step: int | None = None


def unanswered(sample: Sample) -> str:
    """Why there is no answer; "" where there is one."""
    return sample.answer.removeprefix(UNANSWERED).removesuffix("]") if sample.answer.startswith(UNANSWERED) else ""


# ---------------------------------------------------------------- files


def write_samples(samples: Sequence[Sample], path: Path) -> str:
    """Write the samples; returns the file's SHA-256."""
    data = samples_bytes(samples)
    write_atomically(path, data)
    return sha256_of(data)


def samples_bytes(samples: Sequence[Sample]) -> bytes:
    """One JSON line per sample, compressed. The same samples give the same bytes."""
    lines = "".join(json.dumps(asdict(sample), ensure_ascii=False) + "\n" for sample in samples)
    return gzip.compress(lines.encode(), mtime=0)


def sha256_of(data: bytes) -> str:
    """The SHA-256 of a file's bytes, as a row names it."""
    return hashlib.sha256(data).hexdigest()


def read_samples(path: Path, sha256: str) -> list[Sample]:
    """The samples of a file. Raises InputError for a file that is missing, changed or damaged."""
    try:
        data = path.read_bytes()
    except OSError as err:
        raise InputError(f"the answers are missing: {path} cannot be read; put it beside the results") from err
    if sha256_of(data) != sha256:
        raise InputError(f"{path} is not the file that the results name: its SHA-256 differs")
    adapter: TypeAdapter[Sample] = TypeAdapter(Sample)
    try:
        return [adapter.validate_json(line) for line in gzip.decompress(data).decode().split("\n") if line]
    except (OSError, EOFError, ValueError, ValidationError) as err:
        raise InputError(f"{path} holds no samples: {str(err).splitlines()[0]}") from err
