"""For a run's manifest: the machine it began on, which decides no result, and settings as a flat list."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("seal-agent", "torch", "transformers", "peft", "accelerate", "numpy", "ray")


def describe_machine() -> dict[str, Any]:
    """Hardware, platform, versions of the installed packages, and the commit; JSON values."""
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "gpu": _gpus(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": {name: number for name in PACKAGES if (number := installed(name))},
        "commit": commit(),
    }


def flat(config: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str | int | float | bool]]:
    """A nested config as rows such as ("inner_loop.epochs", 10); lists and None become text."""
    rows: list[tuple[str, str | int | float | bool]] = []
    for key, value in config.items():
        name = f"{prefix}.{key}" if prefix else key
        if isinstance(value, Mapping):
            rows += flat(value, name)
        elif isinstance(value, bool | int | float | str):
            rows.append((name, value))
        else:
            rows.append((name, ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)))
    return rows


def processor() -> str:
    """Name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


def _gpus() -> list[str]:
    import torch

    return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]


def installed(name: str) -> str | None:
    """Version of a package; None where it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def commit() -> str | None:
    """The commit of the package's own repository; None where it was installed from a wheel."""
    package = Path(__file__).resolve().parents[2]
    if not (package.parent / ".git").exists():
        return None
    try:
        result = subprocess.run(
            ["git", "describe", "--always", "--dirty"], cwd=package, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return result.stdout.strip()
