"""`--model_args`, checked and sorted into configs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from typing import Any, Literal, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from seal_agent.config import (
    RECIPES,
    AnswerConfig,
    AnswerStyle,
    ArcConfig,
    EngineName,
    InnerLoopConfig,
    Recipe,
    SelfEditConfig,
    VLLMConfig,
    recipe_named,
)
from seal_agent.errors import InputError
from seal_agent.generation.engines import check_engine
from seal_agent.grading.graders import DEFAULT_GRADER, check_grader
from seal_agent.self_edits.formats.registry import PASSAGE, check_format

Mode = Literal["base", "in_context", "retrieval", "passage", "ttt", "random", "self_edit"]
"""`ttt` and `random` (test-time training, with fixed settings or with some drawn at random) are for ARC; `in_context`,
`retrieval` and `passage` are not.
"""
_LEARNING = ("passage", "ttt", "random", "self_edit")


@dataclass(frozen=True, slots=True)
class ModelArguments:
    """How to load the model, and what to do with a context."""

    mode: Mode | None = None  # None: the recipe's; with a stored adapter "base" in place of a mode that learns
    recipe: str | None = None  # a name or a file; None: "paper" for mode=passage, else "default"
    policy: str | None = None  # folder of `seal train` whose policy writes the notes; None: the recipe's, if any
    adapter: str | None = None  # a stored adapter that answers in place of the base model
    home: str | None = None  # the adapter store; None: $SEAL_HOME or the user's data folder
    device: str = "auto"
    dtype: str = "auto"
    trust_remote_code: bool = False
    engine: EngineName = "hf"  # what answers: transformers or vllm, whose settings are VLLMConfig's
    answer_style: AnswerStyle | None = None  # of an adapter: short | sentence | plain; None: the recipe's
    least_confidence: float | None = None  # below it the base model answers; None: the named recipe's, 0 without one
    grader: str = DEFAULT_GRADER  # read by our tasks: lexical, judge, or model (this model judges itself)
    judge_model: str | None = None  # the judge's name at its endpoint
    judge_url: str | None = None  # the judge's endpoint; None: OpenAI's
    limit_contexts: int | None = None  # read by our tasks, which receive these arguments as metadata
    eval_batch_size: int | str = 1  # lm-eval's flag `--batch_size`
    max_batch_size: int = 64  # lm-eval's default


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that decides an evaluation, apart from the base model."""

    model: ModelArguments
    inner_loop: InnerLoopConfig
    self_edit: SelfEditConfig
    arc: ArcConfig
    arc_inner_loop: InnerLoopConfig
    """The same arguments applied to ARC's own defaults."""
    answer: AnswerConfig
    vllm: VLLMConfig
    recipe: Recipe
    """What the other settings are taken from, where no argument changes them."""

    @property
    def mode(self) -> Mode:
        if self.model.mode:
            return self.model.mode
        return "base" if self.model.adapter and self.recipe.mode in _LEARNING else self.recipe.mode

    @property
    def policy(self) -> str:
        """Folder of the policy that writes the notes; "" for the base model."""
        return self.recipe.policy if self.model.policy is None else self.model.policy

    @property
    def adapts(self) -> bool:
        """Whether the mode trains an adapter."""
        return self.mode in _LEARNING


_CONFIGS = (ModelArguments, InnerLoopConfig, SelfEditConfig, ArcConfig, VLLMConfig)
_ALIASES = {"format": "formats"}


def read_arguments(arguments: Mapping[str, object]) -> Settings:
    """Check arguments and sort them into configs by name. "+" joins several values of one argument.

    Raises InputError for an unknown name (with similar names), an unusable value, or contradictory arguments.
    """
    values: dict[type, dict[str, Any]] = {config: {} for config in _CONFIGS}
    hints = {config: get_type_hints(config) for config in _CONFIGS}
    for argument, value in arguments.items():
        field = _ALIASES.get(argument, argument)
        config = next((config for config in _CONFIGS if field in hints[config]), None)
        if config is None:
            raise InputError(_unknown_argument(argument))
        values[config][field] = _convert(argument, value, hints[config][field])
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
        replace((recipe if model.recipe else RECIPES["default"]).arc_inner_loop, **values[InnerLoopConfig]),
        replace(
            recipe.answer,
            style=model.answer_style or recipe.answer.style,
            least_confidence=_least_confidence(model, recipe),
        ),
        VLLMConfig(**values[VLLMConfig]),
        recipe,
    )
    check_engine(model.engine, settings.vllm)
    _check(settings)
    return settings


def _least_confidence(model: ModelArguments, recipe: Recipe) -> float:
    """Below it the base model answers; at 0 the adapter that was trained for the question always does."""
    if model.least_confidence is not None:
        return model.least_confidence
    return recipe.answer.least_confidence if model.recipe else 0.0


def known_names() -> list[str]:
    """Every argument's name, "pretrained" first."""
    names = dict.fromkeys(_argument_name(field.name) for config in _CONFIGS for field in fields(config))
    return ["pretrained", *names]


def _argument_name(field_name: str) -> str:
    return next((alias for alias, target in _ALIASES.items() if target == field_name), field_name)


def _unknown_argument(name: str) -> str:
    """The error message for an argument that does not exist."""
    close_matches = get_close_matches(name, known_names(), n=3, cutoff=0.5)
    advice = f"did you mean {' or '.join(close_matches)}?" if close_matches else f"known: {', '.join(known_names())}"
    return f"there is no model argument {name!r}; {advice}"


def _convert(name: str, value: object, hint: Any) -> Any:
    """The value as the field's type. Raises InputError."""
    if hint == tuple[str, ...] and isinstance(value, str):
        value = tuple(part.strip() for part in value.split("+"))
    try:
        return TypeAdapter(hint, config=ConfigDict(coerce_numbers_to_str=True)).validate_python(value)
    except ValidationError as err:
        detail = err.errors()[0]["msg"]
        detail = f"{detail[0].lower()}{detail[1:]}"
        raise InputError(f"the model argument {name}={value!r} cannot be used: {detail}") from err


def _check(settings: Settings) -> None:
    """Raises InputError for contradictory settings and unknown formats."""
    model = settings.model
    for name in settings.self_edit.formats:
        check_format(name)
    if model.adapter and settings.adapts:
        raise InputError(
            f"adapter={model.adapter} answers as it is stored, so mode={settings.mode} cannot train it; "
            "use mode=base, mode=in_context or mode=retrieval, or leave adapter= out"
        )
    if settings.mode == "passage" and settings.self_edit.formats != (PASSAGE,):
        raise InputError("mode=passage trains on the passage alone; leave format= out, or use mode=self_edit")
    check_grader(model.grader, model.judge_model, model.judge_url)
    if model.limit_contexts is not None and model.limit_contexts < 1:
        raise InputError(f"limit_contexts must be at least 1, but it is {model.limit_contexts}")
