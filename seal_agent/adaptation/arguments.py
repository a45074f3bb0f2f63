"""Arguments of a model's methods, checked when they are called: a wrong one is an InputError that names it."""

from __future__ import annotations

import functools
import inspect
import os
import reprlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from seal_agent.config import InnerLoopConfig, PictureConfig, SelfEditConfig, TrajectoryLimits
from seal_agent.errors import InputError
from seal_agent.types import Proposal, Revision
from seal_agent.validation import check_whole_characters

Class = TypeVar("Class", bound=type[Any])
Kind = tuple[str, type | tuple[type, ...]]

_TEXT: Kind = ("a text", str)
_PATH: Kind = ("a path", (str, os.PathLike))
_REVISION: Kind = ("a revision or its id, as `seal history` lists them", (str, Revision))
_LIST: Kind = ("a list", Sequence)

KINDS: Mapping[str, Kind] = {
    "adapter": _TEXT,
    "name": _TEXT,
    "question": _TEXT,
    "title": _TEXT,
    "folder": _PATH,
    "path": _PATH,
    "revision": _REVISION,
    "to": _REVISION,
    "left": _REVISION,
    "right": _REVISION,
    "namespace": _LIST,
    "contexts": _LIST,
    "adapters": _LIST,
    "trajectories": _LIST,
    "stop": _LIST,
    "proposal": ("what propose() returned", Proposal),
    "self_edit": ("a SelfEditConfig", SelfEditConfig),
    "inner_loop": ("an InnerLoopConfig", InnerLoopConfig),
    "pictures": ("a PictureConfig", PictureConfig),
    "limits": ("TrajectoryLimits", TrajectoryLimits),
    "progress": ("callable", Callable),  # type: ignore[dict-item]  # isinstance takes it
    "redact": ("callable", Callable),  # type: ignore[dict-item]
}
"""What an argument of this name must be, in words and as types. None is right where it is the default."""


def checks_arguments(cls: Class) -> Class:
    """Make every public method of a class check those of its arguments that `KINDS` names.

    The methods raise InputError then, before they do anything.
    """
    for name, method in list(vars(cls).items()):
        if inspect.isfunction(method) and not name.startswith("_"):
            setattr(cls, name, _checked(method))
    return cls


def _checked(method: Callable[..., Any]) -> Callable[..., Any]:
    signature = inspect.signature(method)
    parameters = [parameter for parameter in signature.parameters.values() if parameter.name in KINDS]
    if not parameters:
        return method

    @functools.wraps(method)
    def checked(*values: Any, **named: Any) -> Any:
        given = signature.bind(*values, **named).arguments
        for parameter in parameters:
            if parameter.name in given and not (given[parameter.name] is None and parameter.default is None):
                _check(parameter.name, given[parameter.name])
        return method(*values, **named)

    return checked


def _check(name: str, value: Any) -> None:
    words, types = KINDS[name]
    if not isinstance(value, types):
        raise InputError(f"{name} must be {words}, but it is {reprlib.repr(value)}")
    if isinstance(value, str):
        check_whole_characters(name, value)
