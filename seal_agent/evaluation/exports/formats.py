"""Export formats by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from seal_agent.errors import InputError
from seal_agent.evaluation.exports.eval_results import hub_name, write_eval_results
from seal_agent.evaluation.exports.every_eval_ever import write_every_eval_ever
from seal_agent.evaluation.suites import Suite

FORMATS: Mapping[str, Callable[[Path], list[Path]]] = {
    "eee": write_every_eval_ever,
    "eval_results": write_eval_results,
}
"""Each writes files beside a results file and returns their paths."""


def check_formats(names: Sequence[str], suite: Suite | None = None) -> None:
    """Raises InputError for a format that there is not, or that cannot hold rows of the suite."""
    for name in names:
        if name not in FORMATS:
            raise InputError(f"there is no export format {name!r}; use {' or '.join(FORMATS)}")
        if name == "eval_results" and suite:
            hub_name(suite)


def export_results(path: Path, name: str) -> list[Path]:
    """Write a results file in another format, beside it. Raises InputError."""
    check_formats([name])
    return FORMATS[name](path)
