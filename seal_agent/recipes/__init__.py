"""Recipes as TOML files, loaded by name or path: only what differs from the defaults of `config.py`.

A folder stands for the `recipe.toml` in it, such as the folder of a run of `seal tune`.

A file has `summary`, `mode`, `extends` (the recipe whose settings it starts from), `searched` (whether its settings
were chosen on the passages of the recipe search, or the ids of the passages that chose them), `policy` (a folder of
`seal train`, whose policy writes the notes), and a table for each config: `self_edit`, `inner_loop`, `answer`,
`retrieval` and `arc`. Relative paths are read from the folder of the file that names them.

A file without `extends` begins from the defaults, which were chosen on the passages of the recipe search; where it
learns, its `searched` is true unless it says otherwise.

A folder of `seal train` is a recipe too: its policy writes, and the settings are those that it was rewarded under.
"""

from __future__ import annotations

import functools
import tomllib
from difflib import get_close_matches
from importlib import resources
from pathlib import Path
from typing import Any

from seal_agent.errors import InputError
from seal_agent.recipes.runs import is_run, tables_of_run

SUFFIX = ".toml"
IN_FOLDER = "recipe.toml"
"""The file that a folder stands for."""
_LEARNS = "self_edit"  # the mode of a recipe that names none
_TOO_DEEP = 8  # recipes that extend one another; more is a circle


@functools.cache
def recipe_names() -> tuple[str, ...]:
    """Names of the recipes that come with the package, sorted; those of the paper's table begin with "paper/"."""
    root = resources.files(__package__)
    folders = [folder for folder in root.iterdir() if folder.is_dir() and not folder.name.startswith("_")]
    names = [file.name for file in root.iterdir()]
    names += [f"{folder.name}/{file.name}" for folder in folders for file in folder.iterdir()]
    return tuple(sorted(name.removesuffix(SUFFIX) for name in names if name.endswith(SUFFIX)))


def load_recipe(name_or_path: str) -> dict[str, Any]:
    """The tables of a recipe, with those of the recipes that it extends. Raises InputError."""
    chain: list[dict[str, Any]] = []
    name: str | None = name_or_path
    folder: Path | None = None
    while name is not None:
        if len(chain) == _TOO_DEEP:
            raise InputError(f"the recipe {name_or_path!r} extends itself; let the last one extend nothing")
        tables, folder = _parse(name, folder)
        chain.append(tables)
        name = tables.pop("extends", None)
    merged: dict[str, Any] = {}
    for tables in reversed(chain):
        merged = _merged(merged, tables)
    if folder is not None and merged.get("mode", _LEARNS) == _LEARNS:  # a file of a user's extends nothing
        merged.setdefault("searched", True)
    return merged


def _parse(name_or_path: str, beside: Path | None) -> tuple[dict[str, Any], Path | None]:
    """One file's tables, or those of a run's folder, and the folder that its paths are read from.

    Args:
        beside: The folder of the file that names this one; None: the current folder.

    The folder is None for a recipe of the package, which names others of the package alone.
    """
    if name_or_path in recipe_names():
        text = resources.files(__package__).joinpath(f"{name_or_path}{SUFFIX}").read_text(encoding="utf-8")
        return _tables(text, name_or_path), None
    path = _find(name_or_path, beside or Path())
    if path.is_dir():
        return tables_of_run(path), path
    tables = _tables(_read(path), name_or_path)
    if policy := tables.get("policy"):
        tables["policy"] = str(path.parent / Path(str(policy)).expanduser())
    return tables, None if path.resolve().is_relative_to(Path(__file__).resolve().parent) else path.parent


def _tables(text: str, name: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as err:
        raise InputError(f"the recipe {name} is not TOML: {err}") from err


def _find(name_or_path: str, beside: Path) -> Path:
    """The file, or the folder of `seal train`, that is meant. Raises InputError."""
    given = beside / Path(name_or_path).expanduser()
    path = next((path for path in (given, given / IN_FOLDER) if path.is_file() or is_run(path)), None)
    if path is None and given.is_dir():
        raise InputError(
            f"the folder {given} has no {IN_FOLDER} and no policy; name a recipe, a TOML file, or a run of seal tune "
            "or seal train"
        )
    if path is None:
        close = get_close_matches(name_or_path, recipe_names(), n=3, cutoff=0.5)
        names = f"use {', '.join(recipe_names())}, a TOML file, or a folder of `seal train` that has a policy"
        advice = f"did you mean {' or '.join(close)}?" if close else names
        raise InputError(f"there is no recipe {name_or_path!r}; {advice}")
    return path


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as err:
        raise InputError(f"the recipe {path} is not UTF-8 text; save it as UTF-8") from err


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Both, table by table; `above` wins."""
    tables = {
        name: _merged(below[name], value) if isinstance(value, dict) and isinstance(below.get(name), dict) else value
        for name, value in above.items()
    }
    return below | tables
