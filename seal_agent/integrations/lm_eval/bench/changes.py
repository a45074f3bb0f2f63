"""Which settings `--set` may change in a recipe for one run: those of a recipe, and how vLLM is started."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from seal_agent.config import AnswerConfig, ArcConfig, InnerLoopConfig, RecipeMode, SelfEditConfig, VLLMConfig
from seal_agent.errors import InputError
from seal_agent.evaluation.recipe_claims import LEARNS
from seal_agent.integrations.lm_eval.arguments import known_names

Changes = dict[str, Any]
"""Settings that replace the recipe's, named as lm-eval's model arguments."""
_ANSWERS = frozenset(("answer_style", "least_confidence", "policy", "format"))
_OF_RECIPES = frozenset(
    field.name for config in (InnerLoopConfig, SelfEditConfig, VLLMConfig) for field in fields(config)
)
_NAMES = {
    AnswerConfig: frozenset(("answer_style", "least_confidence")),
    SelfEditConfig: frozenset(field.name for field in fields(SelfEditConfig)) | {"format", "policy"},
    InnerLoopConfig: frozenset(field.name for field in fields(InnerLoopConfig)),
    VLLMConfig: frozenset(field.name for field in fields(VLLMConfig)),
}
"""By what they belong to, the settings that `--set` may change."""
_OF_ARC_EDITS = frozenset(("temperature", "top_p", "policy"))
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


def check_effect(changes: Mapping[str, Any], mode: RecipeMode, engine: str, arc: bool = False) -> None:
    """Raises InputError for a setting that changes nothing of a run, and would yet make another row of it.

    Args:
        mode: The recipe's.
        engine: What answers.
    """
    for name in changes:
        if name in _NAMES[AnswerConfig] and (arc or mode != "self_edit"):
            raise InputError(f"--set {name} is how an adapter answers questions, and this run has none; leave it out")
        if name in _NAMES[SelfEditConfig] and (mode != "self_edit" or (arc and name not in _OF_ARC_EDITS)):
            raise InputError(f"--set {name} is how notes are written, and this run writes none; leave it out")
        if name in _NAMES[InnerLoopConfig] and mode not in LEARNS:
            raise InputError(f"--set {name} is how an adapter is trained, and this run trains none; leave it out")
        if name in _NAMES[VLLMConfig] and engine != "vllm":
            raise InputError(
                f"--set {name} is how vLLM is started, and {engine} answers; leave it out, or use --engine vllm"
            )
