"""What a run leaves: its archive as JSON, and recipes as TOML files, the one that it ends with and others of note."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from seal_agent.config import AnswerConfig, InnerLoopConfig, Recipe, SelfEditConfig, recipe_named
from seal_agent.outer_loop.tuning.archive import Archive, Candidate
from seal_agent.recipes import IN_FOLDER, SUFFIX

ARCHIVE, RECIPES_FOLDER = "archive.json", "recipes"


def write_archive(folder: Path, archive: Archive) -> Path:
    """Write every candidate with its scores."""
    return _write(folder / ARCHIVE, json.dumps(archive.as_json(), ensure_ascii=False, indent=1) + "\n")


def write_recipe(folder: Path, recipe: Recipe, summary: str, searched: Sequence[str] = ()) -> Path:
    """Write a recipe into a run's folder, which is then a --recipe; `searched` are ids of passages that chose it."""
    return _write(folder / IN_FOLDER, recipe_toml(recipe, summary, searched))


def write_recipes(folder: Path, candidates: Iterable[tuple[Candidate, str]], searched: Sequence[str]) -> Path:
    """Write candidates, each with its summary, as recipes/<id>.toml of a run's folder; those of before are removed."""
    place = folder / RECIPES_FOLDER
    place.mkdir(exist_ok=True)
    kept = [
        _write(place / f"{candidate.id}{SUFFIX}", recipe_toml(candidate.recipe, summary, searched))
        for candidate, summary in candidates
    ]
    for old in set(place.glob(f"*{SUFFIX}")) - set(kept):
        old.unlink()
    return place


def recipe_toml(recipe: Recipe, summary: str, searched: Sequence[str] = ()) -> str:
    """A recipe as TOML: the settings that differ from the defaults."""
    lines = [f"summary = {_value(summary)}"]
    if searched:
        lines.append(f"searched = {_value(tuple(searched))}")
    if recipe.mode != "self_edit":
        lines.append(f"mode = {_value(recipe.mode)}")
    tables: dict[str, tuple[Any, Any]] = {
        "self_edit": (recipe.self_edit, SelfEditConfig()),
        "inner_loop": (recipe.inner_loop, InnerLoopConfig()),
        "answer": (recipe.answer, AnswerConfig()),
        "arc": (recipe.arc_inner_loop, recipe_named("default").arc_inner_loop),
    }
    for name, (own, default) in tables.items():
        rows = [
            f"{field.name} = {_value(value)}"
            for field in fields(own)
            if (value := getattr(own, field.name)) != getattr(default, field.name) and value is not None
        ]
        lines += ["", f"[{name}]", *rows] if rows else []
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value, ensure_ascii=False)  # strings, numbers and booleans are written alike in TOML


def _write(path: Path, text: str) -> Path:
    draft = path.with_suffix(".draft")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)
    return path
