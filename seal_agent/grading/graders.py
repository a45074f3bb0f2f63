"""Graders by name. Cheap to import: each grader's own file is imported when it is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from seal_agent.errors import InputError

if TYPE_CHECKING:
    from seal_agent.generation.engine import Engine
    from seal_agent.grading.grader import Grader

DEFAULT_GRADER = "lexical"  # the only one that needs no model and no key


def make_grader(
    name: str = DEFAULT_GRADER,
    *,
    engine: Engine | None = None,
    judge_model: str | None = None,
    judge_url: str | None = None,
    cache: str | Path | None = None,
) -> Grader:
    """A grader by name.

    Args:
        name: One of GRADERS.
        engine: Of the grader model: the engine whose base model grades.
        judge_model: Of the judge: the model's name at its endpoint.
        judge_url: Of the judge: the endpoint's address without `/chat/completions`; None for OpenAI's.
        cache: Of the judge: a SQLite file of its verdicts; no answer in it is judged again.

    Raises InputError for what `check_grader` refuses, the grader model without an engine, and an unusable cache.
    """
    check_grader(name, judge_model, judge_url)
    return GRADERS[name](_Parts(engine, judge_model, judge_url, cache))


def check_grader(name: str, judge_model: str | None = None, judge_url: str | None = None) -> None:
    """Refuse a grader before a model is loaded.

    Raises InputError for an unknown name, a judge without its model's name, an address that is not http(s), and a
    judge's arguments for another grader.
    """
    if name not in GRADERS:
        raise InputError(f"there is no grader {name!r}; use one of {', '.join(GRADERS)}")
    if name != "judge" and (judge_model or judge_url):
        raise InputError(
            f"judge_model and judge_url are not for the grader {name}; leave them out, or use the grader judge"
        )
    if name == "judge" and not judge_model:
        raise InputError(
            "the grader judge needs its model's name at the endpoint; give judge_model (--judge-model), such as gpt-4.1"
        )
    if judge_url and not judge_url.startswith(("http://", "https://")):
        raise InputError(f"judge_url must begin with http:// or https://, got {judge_url!r}")


def default_grader() -> Grader:
    """The grader that is used if none is given. It needs no key and no model."""
    return make_grader()


# ---------------------------------------------------------------- the registry


@dataclass(frozen=True, slots=True)
class _Parts:
    """What graders are made of."""

    engine: Engine | None
    judge_model: str | None
    judge_url: str | None
    cache: str | Path | None


def _lexical(_: _Parts) -> Grader:
    from seal_agent.grading.lexical import LexicalGrader

    return LexicalGrader()


def _judge(parts: _Parts) -> Grader:
    from seal_agent.grading.judge import JudgeGrader

    assert parts.judge_model, "check_grader refuses a judge without one"
    if parts.judge_url:
        return JudgeGrader(parts.judge_model, parts.judge_url, cache=parts.cache)
    return JudgeGrader(parts.judge_model, cache=parts.cache)


def _model(parts: _Parts) -> Grader:
    from seal_agent.grading.model_judge import ModelJudge

    if parts.engine is None:
        raise InputError("the grader model needs a local model; give an engine, or use the grader lexical")
    return ModelJudge(parts.engine)


GRADERS: Mapping[str, Callable[[_Parts], Grader]] = {"lexical": _lexical, "judge": _judge, "model": _model}
