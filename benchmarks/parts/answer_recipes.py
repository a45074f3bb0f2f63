"""The recipes that answers.py compares: how notes are written, and how they are trained."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from seal_agent.config import RECIPES, InnerLoopConfig, SelfEditConfig, recorded_settings


@dataclass(frozen=True, slots=True)
class Recipe:
    """How notes are written and trained; without `inner_loop` nothing is trained."""

    name: str
    self_edit: SelfEditConfig
    inner_loop: InnerLoopConfig | None = None
    in_context: bool = False


PASSAGE_ONLY = SelfEditConfig(formats=("passage",), synonyms=0)
REFERENCES = (
    Recipe("base", PASSAGE_ONLY),
    Recipe("in context", PASSAGE_ONLY, in_context=True),
    Recipe("passage, q and v (the paper's)", PASSAGE_ONLY, RECIPES["paper"].inner_loop),
)
DEFAULT = Recipe("evidence, 9 openings, synonyms", RECIPES["default"].self_edit, RECIPES["default"].inner_loop)
"""The shipped default, under its name in the search that chose it."""


def recipe_key(recipe: Recipe) -> dict[str, Any]:
    """The recipe as it stands in the results file. Rows belong to a recipe only if all its settings match."""
    key: dict[str, Any] = json.loads(json.dumps(recorded_settings(asdict(recipe))))
    for name in ("continued", "replay"):  # no effect on an adapter's first passage
        (key["inner_loop"] or {}).pop(name, None)
    return key
