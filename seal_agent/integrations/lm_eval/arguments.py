"""`--model_args` as one checked value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from typing import Any, Literal, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from seal_agent.config import ARC_INNER_LOOPS, ArcConfig, InnerLoopConfig, SelfEditConfig, recipe_named
from seal_agent.errors import InputError
from seal_agent.self_edits.formats.registry import PASSAGE, check_format

Mode = Literal["base", "in_context", "passage", "ttt", "self_edit"]
"""`in_context` and `passage` are for knowledge, `ttt` (training at test time by fixed settings) is for ARC."""


@dataclass(frozen=True, slots=True)
class ModelArguments:
    """How the model is loaded and what it does with a context."""

    mode: Mode | None = None  # None: base with a stored adapter, else self_edit
    recipe: str | None = None  # where the other arguments start from; None: "paper" for mode=passage, else "default"
    adapter: str | None = None  # a stored adapter that answers instead of the base model
    home: str | None = None  # where it is stored; None: $SEAL_HOME or the user's data folder
    device: str = "auto"
    dtype: str = "auto"
    trust_remote_code: bool = False
    limit_contexts: int | None = None  # read by our tasks, which get the same arguments as metadata
    eval_batch_size: int | str = 1  # what `--batch_size` says
    max_batch_size: int = 64  # lm-eval's default


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that decides an evaluation, apart from the base model."""

    model: ModelArguments
    inner_loop: InnerLoopConfig
    self_edit: SelfEditConfig
    arc: ArcConfig
    arc_inner_loop: InnerLoopConfig
    """The same arguments on top of ARC's own settings."""

    @property
    def mode(self) -> Mode:
        return self.model.mode or ("base" if self.model.adapter else "self_edit")

    @property
    def adapts(self) -> bool:
        return self.mode in ("passage", "ttt", "self_edit")


_PARTS = (ModelArguments, InnerLoopConfig, SelfEditConfig, ArcConfig)
_ALIASES = {"format": "formats"}


def read_arguments(arguments: Mapping[str, object]) -> Settings:
    """Check and sort arguments by name; several values of one argument are joined by "+".

    Raises InputError for an unknown name (naming the near ones), an unusable value, or two that contradict.
    """
    values: dict[type, dict[str, Any]] = {part: {} for part in _PARTS}
    hints = {part: get_type_hints(part) for part in _PARTS}
    for given, value in arguments.items():
        name = _ALIASES.get(given, given)
        part = next((part for part in _PARTS if name in hints[part]), None)
        if part is None:
            raise InputError(_unknown(given))
        values[part][name] = _converted(given, value, hints[part][name])
    model = ModelArguments(**values[ModelArguments])
    if model.mode == "passage":
        values[SelfEditConfig].setdefault("formats", (PASSAGE,))
    recipe = recipe_named(model.recipe or ("paper" if model.mode == "passage" else "default"))
    shared = [name for name in ("temperature", "top_p") if name in values[SelfEditConfig]]
    settings = Settings(
        model,
        replace(recipe.inner_loop, **values[InnerLoopConfig]),
        replace(recipe.self_edit, **values[SelfEditConfig]),
        replace(ArcConfig(), **{name: values[SelfEditConfig][name] for name in shared}, **values[ArcConfig]),
        replace(ARC_INNER_LOOPS[model.recipe or "default"], **values[InnerLoopConfig]),
    )
    _check(settings)
    return settings


def known_names() -> list[str]:
    """Every argument's name, "pretrained" first."""
    names = dict.fromkeys(_shown(field.name) for part in _PARTS for field in fields(part))
    return ["pretrained", *names]


def _shown(name: str) -> str:
    return next((alias for alias, target in _ALIASES.items() if target == name), name)


def _unknown(name: str) -> str:
    near = get_close_matches(name, known_names(), n=3, cutoff=0.5)
    advice = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known_names())}"
    return f"there is no model argument {name!r}; {advice}"


def _converted(name: str, value: object, hint: Any) -> Any:
    if hint == tuple[str, ...] and isinstance(value, str):
        value = tuple(part.strip() for part in value.split("+"))
    try:
        return TypeAdapter(hint, config=ConfigDict(coerce_numbers_to_str=True)).validate_python(value)
    except ValidationError as err:
        rule = err.errors()[0]["msg"]
        raise InputError(f"the model argument {name}={value!r} cannot be used: {rule[0].lower()}{rule[1:]}") from err


def _check(settings: Settings) -> None:
    model = settings.model
    for name in settings.self_edit.formats:
        check_format(name)
    if model.adapter and settings.adapts:
        raise InputError(
            f"adapter={model.adapter} answers as it is stored, so mode={settings.mode} cannot train it; "
            "use mode=base or mode=in_context, or leave adapter= out"
        )
    if settings.mode == "passage" and settings.self_edit.formats != (PASSAGE,):
        raise InputError("mode=passage trains on the passage alone; leave format= out, or use mode=self_edit")
    if model.limit_contexts is not None and model.limit_contexts < 1:
        raise InputError(f"limit_contexts must be at least 1, but it is {model.limit_contexts}")
