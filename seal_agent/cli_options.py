"""Options that several commands have, and how all of them print JSON."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

if TYPE_CHECKING:
    from seal_agent.config import ArcConfig, InnerLoopConfig, SelfEditConfig

Model = Annotated[str, typer.Option("--model", "-m", help='"default" (bundled), a hub id, or a folder.')]
Home = Annotated[Path | None, typer.Option(help="Adapter store. [default: $SEAL_HOME or ~/.local/share/seal-agent]")]
Adapter = Annotated[str, typer.Option("--adapter", "-a", help="Name of the adapter.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N.")]
Dtype = Annotated[str, typer.Option(help="auto, float32, bfloat16, float16.")]
Seed = Annotated[int, typer.Option(help="Seed of every random choice.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
TrustRemoteCode = Annotated[bool, typer.Option("--trust-remote-code", help="Run model code from the hub.")]
Policy = Annotated[
    str | None, typer.Option(help="Who writes the notes: a folder of `seal train`, or a stored adapter's name.")
]


Config = TypeVar("Config", "SelfEditConfig", "InnerLoopConfig", "ArcConfig")


def configured(config: Config, **chosen: Any) -> Config:
    """The config with the options that were given; the others keep their defaults."""
    return dataclasses.replace(config, **{name: value for name, value in chosen.items() if value is not None})


def print_json(**values: Any) -> None:
    """One object on one line of standard output."""
    typer.echo(json.dumps(values, ensure_ascii=False))
