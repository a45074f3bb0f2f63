"""`seal doctor`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import typer
from rich.text import Text

from seal_agent.cli import console
from seal_agent.cli.doctor.findings import Finding
from seal_agent.cli.doctor.machine import check_cache, check_device, check_store, check_transformers, check_weights
from seal_agent.cli.doctor.packages import check_packages, check_python
from seal_agent.cli.options import Home, Json, print_json

EXAMPLE = "Example: seal doctor --json"
_MARKS = {"ok": ("✓", "green"), "absent": ("·", "dim"), "broken": ("✗", "red")}


def doctor(home: Home = None, as_json: Json = False) -> None:
    """Say what works here, and the line that mends what does not. Exit code 1 if something essential is broken."""
    findings: list[Finding] = []
    for finding in _findings(home):
        findings.append(finding)
        if not as_json:
            _show(finding)
    works = not any(finding.fails for finding in findings)
    if as_json:
        print_json(works=works, findings=[dataclasses.asdict(finding) for finding in findings])
    else:
        console.out.print("seal works here" if works else "seal does not work here yet", style="bold")
    if not works:
        raise typer.Exit(1)


def _findings(home: Path | None) -> Iterator[Finding]:
    from seal_agent.paths import default_home

    yield check_python()
    yield from check_packages()
    yield check_transformers()
    yield from check_device()
    yield check_cache()
    yield check_weights()
    yield check_store(home.expanduser() if home else default_home())


def _show(finding: Finding) -> None:
    mark, colour = _MARKS[finding.state]
    line = Text.assemble((mark, colour), f" {finding.name:<16} {finding.detail}")
    console.out.print(line, soft_wrap=True)
    if finding.state != "ok":
        console.out.print(f"{'':<18} → {finding.fix}", markup=False, soft_wrap=True)
