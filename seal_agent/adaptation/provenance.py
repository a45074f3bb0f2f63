"""Which recipe made a revision: its name, a hash of its settings, and the settings that were changed in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from seal_agent.config import InnerLoopConfig, Recipe, SelfEditConfig, recipe_named, recorded_settings
from seal_agent.errors import InputError
from seal_agent.types import content_hash

_KEY_DIGITS = 12
_CHANGED = ", changed: "


@dataclass(frozen=True, slots=True)
class NamedRecipe:
    """A recipe under the name or path by which it was asked for."""

    name: str
    recipe: Recipe

    @classmethod
    def read(cls, name_or_path: str | Path) -> NamedRecipe:
        """Raises InputError where there is no such recipe, or where it learns nothing."""
        recipe = recipe_named(str(name_or_path))
        if recipe.mode != "self_edit":
            raise InputError(
                f"the recipe {name_or_path} learns nothing; use one that writes notes, such as default or paper"
            )
        return cls(str(name_or_path), recipe)

    @property
    def label(self) -> str:
        """The name with a hash of the settings, such as "paper@1f0c…": a file of this name may change."""
        return f"{self.name}@{recipe_key(self.recipe)}"

    def of_notes(self, config: SelfEditConfig) -> str:
        """The label of notes that were written with these settings."""
        return _with_changes(self.label, _differing(self.recipe.self_edit, config))

    def of_lesson(self, label: str, config: InnerLoopConfig) -> str:
        """The label of an adapter trained with these settings on notes with that label; "" where they have none."""
        return _with_changes(label, _differing(self.recipe.inner_loop, config)) if label else ""


def recipe_key(recipe: Recipe) -> str:
    """A hash of how notes are written, learnt and asked about: two recipes with the same key do the same."""
    facts = [recorded_settings(asdict(part)) for part in (recipe.self_edit, recipe.inner_loop, recipe.answer)]
    return content_hash(facts)[:_KEY_DIGITS]


def _differing(recipe: SelfEditConfig | InnerLoopConfig, used: SelfEditConfig | InnerLoopConfig) -> list[str]:
    """Names of the settings that differ; the seed is none of a recipe's."""
    names = (field.name for field in fields(recipe) if field.name != "seed")
    return [name for name in names if getattr(recipe, name) != getattr(used, name)]


def _with_changes(label: str, names: Sequence[str]) -> str:
    if not names:
        return label
    return label + (", " if _CHANGED in label else _CHANGED) + ", ".join(names)
