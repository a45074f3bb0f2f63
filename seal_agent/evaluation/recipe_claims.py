"""Whether a row's settings are those of the recipe that it names, with what it says was changed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from seal_agent.config import RECIPES, Recipe, recorded_settings
from seal_agent.errors import InputError
from seal_agent.evaluation.results import RecipeFacts
from seal_agent.evaluation.suites import MODES, Suite
from seal_agent.recipes.runs import RECIPE as RUN_RECIPE

LEARNS = ("self_edit", "ttt", "random")
"""Modes that train something."""
_LEARNING_TABLES = ("self_edit", "inner_loop", "arc_inner_loop")
_DIGITS = 8  # of a policy's hash, where `changed` names it
_UNNAMED = ("answer.max_tokens", "retrieval.passages", "searched")
"""Settings that no option changes."""
_ARGUMENTS = {"answer.style": "answer_style", "self_edit.formats": "format"}
"""By setting, its name on the command line where that is another one."""


def settings_of(recipe: Recipe) -> dict[str, Any]:
    """The settings that matter for a recipe's mode, as JSON values, without its policy."""
    settings: dict[str, Any] = json.loads(json.dumps(asdict(recipe)))
    for name in ("summary", "mode", "policy"):
        del settings[name]
    if recipe.mode not in LEARNS:
        for table in _LEARNING_TABLES:
            del settings[table]
    if recipe.mode != "retrieval":
        del settings["retrieval"]
    return settings


def check_recipe(facts: RecipeFacts, suite: Suite) -> str:
    """Raises InputError for settings, a mode or a policy that are not the named recipe's. Returns why the settings
    could not be compared, "" where they were.
    """
    if facts.mode not in MODES[suite.kind]:
        raise InputError(
            f"the mode {facts.mode!r} does not fit {suite.name}; it is one of {', '.join(MODES[suite.kind])}"
        )
    if facts.mode not in LEARNS and any(table in facts.settings for table in _LEARNING_TABLES):
        raise InputError(f"the mode is {facts.mode}, which learns nothing, but the row has settings of learning")
    if facts.name not in RECIPES:
        return f"the settings, since {facts.name} is no recipe of the package"
    recipe = RECIPES[facts.name]
    if facts.mode != recipe.mode:
        raise InputError(
            f"the mode is {facts.mode}, but the recipe {facts.name} has {recipe.mode}; the file was changed"
        )
    policy = str(facts.settings.get("policy", ""))
    if bool(policy) != bool(recipe.policy or "policy" in facts.changed):
        raise InputError(f"the recipe {facts.name} {'has no policy' if policy else 'has a policy, which is missing'}")
    if facts.name == RUN_RECIPE and policy and facts.changed.get("policy") == policy[:_DIGITS]:
        return f"the settings, since they are those of the run whose policy is {policy[:_DIGITS]}"
    _check_settings(facts, settings_of(recipe))
    return ""


def _check_settings(facts: RecipeFacts, recipe: Mapping[str, Any]) -> None:
    own = dict(_flat(recorded_settings({n: v for n, v in facts.settings.items() if n != "policy"})))
    expected = dict(_flat(recorded_settings(recipe)))
    for name in {**expected, **own}:
        argument = _ARGUMENTS.get(name, name.rpartition(".")[2])
        changed = argument in facts.changed and name not in _UNNAMED
        if changed and not _means(facts.changed[argument], own.get(name)):
            raise InputError(
                f"{name} is {own.get(name)!r}, but the row says that it was set to {facts.changed[argument]!r}"
            )
        if not changed and own.get(name) != expected.get(name):
            raise InputError(
                f"{name} is {own.get(name)!r}, but the recipe {facts.name} has {expected.get(name)!r}, and `changed` "
                "does not say so; the file was changed, or the recipe is of another version"
            )


def _flat(settings: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Every setting with its table's name before it."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from ((f"{name}.{inner}", of_inner) for inner, of_inner in value.items())
        else:
            yield name, value


def _means(typed: object, value: object) -> bool:
    """Whether a value is what was typed on the command line."""
    if isinstance(value, bool) or value is None:
        return str(typed).casefold() in {None: ("none", "null", ""), True: _YES, False: _NO}[value]
    if isinstance(value, int | float):
        try:
            return float(str(typed)) == value
        except ValueError:
            return False
    if isinstance(value, list):
        parts = list(typed) if isinstance(typed, list | tuple) else str(typed).split("+")
        return [str(part).strip() for part in parts] == [str(part) for part in value]
    return str(typed) == str(value)


_YES, _NO = ("true", "1", "yes", "on", "t", "y", "1.0"), ("false", "0", "no", "off", "f", "n", "0.0")
