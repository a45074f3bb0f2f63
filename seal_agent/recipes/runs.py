"""A folder of `seal train` as a recipe: its policy writes the notes, with the settings that it was rewarded under."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from seal_agent.errors import InputError

RECIPE = "rest_em"
"""The recipe of the package that a run's settings replace."""
_MANIFEST, _LAST, _POLICY = "manifest.json", Path("policy") / "last", "seal_policy.json"
"""As `outer_loop` writes them."""


def is_run(folder: Path) -> bool:
    """Whether a folder is a run that has a policy, or a policy itself."""
    return (folder / _LAST).is_file() or (folder / _POLICY).is_file()


def tables_of_run(folder: Path) -> dict[str, Any]:
    """The tables of the recipe that a run, or one of its policies, stands for. Raises InputError if it is damaged."""
    tables: dict[str, Any] = {"extends": RECIPE, "policy": str(folder)}
    above = (folder, folder.resolve().parent.parent)  # a policy lies in the folder `policy` of its run
    manifest = next((place / _MANIFEST for place in above if (place / _MANIFEST).is_file()), None)
    try:
        if manifest:
            config = json.loads(manifest.read_text(encoding="utf-8"))["config"]
            settings = config["outer_loop"]
            if config["domain"]["domain"] == "arc":
                return tables | {"arc": _given(settings["inner_loop"])}
            return tables | {name: _given(settings[name]) for name in ("self_edit", "inner_loop")}
        return tables | {"self_edit": {"formats": json.loads((folder / _POLICY).read_text("utf-8"))["formats"]}}
    except (OSError, ValueError, KeyError, TypeError) as err:
        raise InputError(f"the run in {folder} cannot be read ({err}); name a policy's folder instead") from err


def _given(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings that have a value: TOML knows no null, which stands for the default."""
    return {name: value for name, value in settings.items() if value is not None}
