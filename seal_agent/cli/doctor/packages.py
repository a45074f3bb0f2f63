"""Packages: versions of those that are needed, and which extras are whole."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from collections.abc import Iterator, Sequence

from packaging.requirements import Requirement

from seal_agent.cli.doctor.findings import Finding

DISTRIBUTION = "seal-agent"
_NOT_FOR_USERS = frozenset({"dev", "docs", "vllm-test"})
_OLDEST_PYTHON = (3, 11)


def check_python() -> Finding:
    """The interpreter."""
    detail = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    if sys.version_info < _OLDEST_PYTHON:
        return Finding("python", "broken", detail, "install Python 3.11 or newer", essential=True)
    return Finding("python", "ok", detail, essential=True)


def check_packages() -> Iterator[Finding]:
    """The package itself, what it needs, and its extras."""
    try:
        distribution = importlib.metadata.distribution(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        yield Finding(DISTRIBUTION, "broken", "not installed as a package", f"pip install {DISTRIBUTION}")
        return
    yield Finding(DISTRIBUTION, "ok", distribution.version, essential=True)
    requirements = [Requirement(line) for line in distribution.requires or ()]
    yield _needed(_of_extra(requirements, ""))
    for extra in sorted(set(distribution.metadata.get_all("Provides-Extra") or ()) - _NOT_FOR_USERS):
        yield _extra(extra, _of_extra(requirements, extra))


def _of_extra(requirements: Sequence[Requirement], extra: str) -> list[Requirement]:
    """The requirements that hold on this machine for an extra alone; "" for those that always hold."""

    def holds(requirement: Requirement, extra: str) -> bool:
        return requirement.marker is None or requirement.marker.evaluate({"extra": extra})

    always = [requirement for requirement in requirements if holds(requirement, "")]
    return always if not extra else [one for one in requirements if holds(one, extra) and one not in always]


def _needed(requirements: Sequence[Requirement]) -> Finding:
    if wrong := list(filter(None, map(_wrong, requirements))):
        return Finding("packages", "broken", "; ".join(wrong), f"pip install --upgrade {DISTRIBUTION}", essential=True)
    shown = ("torch", "transformers", "peft")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in shown)
    return Finding("packages", "ok", f"all {len(requirements)}; {versions}", essential=True)


def _extra(name: str, requirements: Sequence[Requirement]) -> Finding:
    wrong, fix = list(filter(None, map(_wrong, requirements))), f"pip install '{DISTRIBUTION}[{name}]'"
    if not wrong:
        return Finding(f"extra {name}", "ok", ", ".join(f"{one.name} {_version(one.name)}" for one in requirements))
    return Finding(f"extra {name}", "absent", "; ".join(wrong), fix)


def _wrong(requirement: Requirement) -> str:
    """What is wrong with a package; "" if it is there in a version that will do."""
    version = _version(requirement.name)
    if version is None:
        return f"{requirement.name} is not installed"
    if not requirement.specifier.contains(version, prereleases=True):
        return f"{requirement.name} is {version}, but {requirement.specifier} is needed"
    return ""


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
