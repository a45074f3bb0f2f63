"""Which settings `--set` may change in a recipe for one run: those of a recipe, and how vLLM is started."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from seal_agent.config import ArcConfig, InnerLoopConfig, SelfEditConfig, VLLMConfig
from seal_agent.errors import InputError
from seal_agent.integrations.lm_eval.arguments import known_names

Changes = dict[str, Any]
"""Settings that replace the recipe's, named as lm-eval's model arguments."""
_ANSWERS = frozenset(("answer_style", "least_confidence", "policy", "format"))
_OF_RECIPES = frozenset(
    field.name for config in (InnerLoopConfig, SelfEditConfig, VLLMConfig) for field in fields(config)
)
_OF_ARC = frozenset(field.name for field in fields(ArcConfig)) - {"attempts"}  # ARC's own rule
_INSTEAD = {
    "seed": "--seeds",
    "recipe": "--recipe",
    "mode": "--recipe",
    "device": "--device",
    "dtype": "--dtype",
    "engine": "--engine",
    "pretrained": "--model",
    "grader": "--grader",
    "judge_model": "--judge-model",
    "judge_url": "--judge-url",
    "limit_contexts": "--limit",
}
"""Options that say what would contradict the row if a recipe said it."""


def check_changes(changes: Mapping[str, Any], arc: bool = False) -> None:
    """Raises InputError for a setting that is no recipe's, with the option that is meant.

    A name that there is not is left to what reads the settings.
    """
    allowed = ((_ANSWERS | _OF_RECIPES) - {"seed"}) | (_OF_ARC if arc else frozenset())
    for name in changes:
        if name in allowed or name not in known_names():
            continue
        if name in _INSTEAD:
            raise InputError(f"--set changes a recipe, and {name} is none of its settings; use {_INSTEAD[name]}")
        if name in _OF_ARC:
            raise InputError(f"--set {name} belongs to the suites of ARC; leave it out")
        raise InputError(f"--set changes a recipe, and {name} is none of its settings; leave it out")
