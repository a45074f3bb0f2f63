"""Which passages a recipe was made on: those of the search that chose it, and those its policy was finetuned on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from seal_agent.config import Recipe
from seal_agent.evaluation.passages import chose_recipe, unit_id
from seal_agent.outer_loop.policy import policy_folder
from seal_agent.store.policies import CONTEXTS, metadata_of, text_hash
from seal_agent.types import Context

Seen = Callable[[Context], bool]
"""Whether the recipe was made on a passage."""


def seen_by(recipe: Recipe) -> Seen:
    """What tells the passages that a recipe was made on."""
    learnt = _learnt_by(recipe.policy)
    searched = recipe.searched if isinstance(recipe.searched, bool) else frozenset(recipe.searched)

    def seen(context: Context) -> bool:
        return chose_recipe(searched, unit_id(context)) or text_hash(context.text) in learnt

    return seen


def _learnt_by(policy: str) -> frozenset[str]:
    """Hashes of the texts that a policy was finetuned on; none for "", the base model."""
    folder = policy_folder(Path(policy).expanduser()) if policy else None
    metadata = metadata_of(folder) if folder else None
    return frozenset((metadata or {}).get(CONTEXTS, ()))
