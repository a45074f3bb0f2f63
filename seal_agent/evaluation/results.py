"""The results of one benchmark run: one row of the leaderboard, with everything needed to make it again.

Fields that lm-eval's results have too are named as there (`results`, `task_hashes`, `chat_template_sha`, `n_samples`,
`versions`). The JSON schema, `results.schema.json`, is made from these classes.
"""

from __future__ import annotations

import functools
import json
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Len
from pydantic import ConfigDict, StringConstraints, TypeAdapter, ValidationError

from seal_agent.errors import InputError
from seal_agent.evaluation.files import write_atomically
from seal_agent.types import content_hash

_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)  # a field that there is not is refused
FileName = Annotated[str, StringConstraints(pattern=r"^[^./\\:][^/\\:]*$")]
"""A file's name without a folder."""
SCHEMA_VERSION = "1"
SCHEMA_FILE = "results.schema.json"

Settings = dict[str, Any]
"""A config as JSON, as it was when the run was made."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A mean over units with its standard error and 95 % interval; None where there is a single unit.

    The interval is Student's; from 31 units on, a bootstrap one. Where all units of a share are 0, or all 1, it is a
    binomial bound.
    """

    __pydantic_config__ = _STRICT

    value: float
    stderr: float | None
    low: float | None
    high: float | None
    count: int
    """Units that the mean is of; those without a graded answer are left out."""


@dataclass(frozen=True, slots=True)
class Unit:
    """What is drawn independently: a passage, an ARC task, a sequence of edits, or a round of a speed test."""

    __pydantic_config__ = _STRICT

    id: str
    title: str
    scores: dict[str, float]
    """By measure, the mean over seeds; a measure is missing where nothing of the unit could be graded."""
    seen: bool = False
    """The search that chose the recipe has seen it."""


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """The base model."""

    __pydantic_config__ = _STRICT

    name: str
    identity: str
    parameters: int | None
    dtype: str | None
    engine: str


@dataclass(frozen=True, slots=True)
class CorpusFacts:
    """Where `retrieval` searched: how many passages, and the hash of every text, question and gold answer of them."""

    __pydantic_config__ = _STRICT

    passages: int
    hash: str


@dataclass(frozen=True, slots=True)
class RecipeFacts:
    """The recipe, with every setting; `changed` are those that the command line set in place of the recipe's.

    `corpus` is that of `retrieval`; None for other recipes, and where an older version did not say.
    """

    __pydantic_config__ = _STRICT

    name: str
    mode: str
    settings: Settings
    changed: Settings = field(default_factory=dict)
    corpus: CorpusFacts | None = None

    @property
    def label(self) -> str:
        """The name, what was changed, and among how many passages it searched."""
        changes = [f"{name}={value}" for name, value in self.changed.items()]
        searched = [f"{self.corpus.passages} passages searched"] if self.corpus else []
        return f"{self.name} ({', '.join(changes + searched)})" if changes or searched else self.name


@dataclass(frozen=True, slots=True)
class DataFacts:
    """What was asked: the hash of every text, question and gold answer, in order."""

    __pydantic_config__ = _STRICT

    name: str
    hash: str
    units: int
    questions: int
    seen: int
    """Units that the search which chose the recipe has seen."""


@dataclass(frozen=True, slots=True)
class RunFacts:
    """When, where and with what the run was made: when it began, and the seconds of all processes that went on with it.

    Several values of a version or commit, where the run was resumed with another, are joined by commas.
    """

    __pydantic_config__ = _STRICT

    date: str
    command: str
    seconds: float | None
    processor: str
    cores: int | None
    gpu: list[str]
    system: str
    python: str
    packages: dict[str, str]
    commit: str | None
    imported_from: str | None = None
    """The older results file that the row was converted from; None for a row of this runner."""
    device: str | None = None
    """What computed it, such as "cpu" or "cuda"; None where an older version did not say."""


@dataclass(frozen=True, slots=True)
class SamplesFile:
    """The compressed file beside the results that holds every answer."""

    __pydantic_config__ = _STRICT

    file: FileName
    sha256: str
    count: int


@dataclass(frozen=True, slots=True)
class Results:
    """One row. `measures` has every mean, `primary` names the one that ranks, `figures` are plain numbers."""

    __pydantic_config__ = _STRICT

    suite: str
    primary: str
    higher_is_better: bool
    model: ModelFacts
    recipe: RecipeFacts
    seeds: Annotated[list[int], Len(min_length=1)]
    data: DataFacts
    grader: str
    prompt_hash: str
    measures: dict[str, Measure]
    figures: dict[str, float]
    units: list[Unit]
    run: RunFacts
    samples: SamplesFile | None = None
    curves: dict[str, list[list[float | None]]] = field(default_factory=dict)
    """Matrices and series, such as the accuracy on passage j after edit i."""
    failures: list[str] = field(default_factory=list)
    """Why units could not be measured; they are in no mean."""
    results: dict[str, dict[str, float | str]] = field(default_factory=dict)
    """lm-eval's own, by task, of the first seed."""
    n_samples: dict[str, int] = field(default_factory=dict)
    versions: dict[str, float | str] = field(default_factory=dict)
    task_hashes: dict[str, str] = field(default_factory=dict)
    chat_template_sha: str | None = None
    lm_eval_version: str | None = None
    schema_version: str = SCHEMA_VERSION

    @property
    def id(self) -> str:
        """Hash of the whole row, 12 hex digits."""
        return content_hash(to_json(self))[:12]

    @property
    def ranking_key(self) -> tuple[str, str, str, str]:
        """Rows are ranked together only where suite, questions, grader and prompts are the same."""
        return self.suite, self.data.hash, self.grader, self.prompt_hash


# ---------------------------------------------------------------- JSON


@functools.cache
def _adapter() -> TypeAdapter[Results]:
    return TypeAdapter(Results)


def schema() -> dict[str, Any]:
    """The JSON schema of a results file."""
    made = _adapter().json_schema()
    made["properties"]["schema_version"] = {"const": SCHEMA_VERSION, "type": "string"}
    made["required"] = [*made["required"], "schema_version"]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"seal-agent/results/{SCHEMA_VERSION}",
        **made,
        "additionalProperties": False,
    }


def published_schema() -> dict[str, Any]:
    """The schema as it is shipped beside this file."""
    text = (resources.files(__package__) / SCHEMA_FILE).read_text(encoding="utf-8")
    return dict(json.loads(text))


def to_json(results: Results) -> dict[str, Any]:
    """The results as JSON values."""
    return dict(json.loads(json.dumps(asdict(results), ensure_ascii=False)))


def from_json(value: Any, source: str = "the results") -> Results:
    """Results from JSON values. Raises InputError, naming `source`, for values that the schema refuses."""
    if not isinstance(value, dict) or value.get("schema_version") != SCHEMA_VERSION:
        raise InputError(f"{source} is no results file of schema {SCHEMA_VERSION}; make one with `seal bench`")
    try:
        return _adapter().validate_json(json.dumps(value), strict=True)
    except ValidationError as err:
        error = err.errors()[0]
        place = ".".join(map(str, error["loc"])) or "the whole"
        raise InputError(f"{source} does not fit the schema at {place}: {error['msg']}") from err


def read_results(path: str | Path) -> Results:
    """The results of a file. Raises InputError."""
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as err:
        raise InputError(f"{path} cannot be read: {err}") from err
    except json.JSONDecodeError as err:
        raise InputError(f"{path} is not JSON ({err}); give a file that `seal bench` wrote") from err
    return from_json(value, str(path))


def write_results(results: Results, path: Path) -> None:
    """Write compact JSON, a draft first that is renamed."""
    write_atomically(path, results_bytes(results))


def results_bytes(results: Results) -> bytes:
    """A results file: compact JSON."""
    text = json.dumps(to_json(results), ensure_ascii=False, separators=(",", ":"))
    return text.encode() + b"\n"


def results_in(folder: str | Path) -> list[tuple[Path, Results]]:
    """All results files below a folder, or the one that a path names, sorted by path. Other JSON files are passed over.

    Raises InputError for a file that says it is one of ours and does not fit the schema.
    """
    root = Path(folder)
    if root.is_file():
        return [(root, read_results(root))]
    if not root.is_dir():
        raise InputError(f"{root} is neither a folder nor a results file; name one that `seal bench --out` wrote")
    return [(path, read_results(path)) for path in sorted(root.rglob("*.json")) if _is_ours(path)]


def _is_ours(path: Path) -> bool:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(value, dict) and "schema_version" in value and "suite" in value
