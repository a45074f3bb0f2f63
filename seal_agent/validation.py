"""What users give, checked: config classes whose errors are one sentence with the field's rule, and texts."""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING, Any, TypeVar, dataclass_transform

from pydantic import ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass as pydantic_dataclass

from seal_agent.errors import InputError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

Class = TypeVar("Class", bound=type[Any])


@dataclass_transform(frozen_default=True, field_specifiers=(Field, dataclasses.field))
def config(cls: Class) -> Class:
    """A frozen dataclass that raises InputError for a value outside of its field's type and bounds."""
    made: Any = pydantic_dataclass(frozen=True, slots=True, config=ConfigDict(allow_inf_nan=False))(cls)
    validated = made.__init__

    @functools.wraps(validated)
    def checked(self: Any, *values: Any, **named: Any) -> None:
        try:
            validated(self, *values, **named)
        except ValidationError as err:
            raise _input_error(made, err.errors()[0]) from None

    made.__init__ = checked
    return made  # type: ignore[no-any-return]


def check_whole_characters(what: str, text: str) -> None:
    """Raise InputError for a text that cannot be written as UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError as err:
        raise InputError(
            f"{what} holds half a character (a lone surrogate) at position {err.start}; "
            "decode it from its bytes again, as UTF-8"
        ) from None


def _input_error(cls: type[Any], error: ErrorDetails) -> InputError:
    cause = error.get("ctx", {}).get("error")
    if isinstance(cause, InputError):  # a rule about several fields, from __post_init__
        return cause
    names = [field.name for field in dataclasses.fields(cls)]
    name = str(error["loc"][0]) if error["loc"] else ""
    if name not in names:
        return InputError(f"{cls.__name__} has no setting {name!r}; it has {', '.join(names)}")
    return InputError(f"{name} {_rule(error)}, but it is {error['input']!r}")


def _rule(error: ErrorDetails) -> str:
    """What a field's value must be, as "must be at least 1"."""
    limits = error.get("ctx", {})
    match error["type"]:
        case "greater_than_equal":
            return "must be 0 or more" if limits["ge"] == 0 else f"must be at least {limits['ge']:g}"
        case "greater_than":
            return "must be positive" if limits["gt"] == 0 else f"must be above {limits['gt']:g}"
        case "less_than_equal":
            return f"must be at most {limits['le']:g}"
        case "less_than":
            return f"must be below {limits['lt']:g}"
        case "too_short":
            return "needs at least one entry"
        case "literal_error":
            return f"is one of {limits['expected'].replace(' or ', ', ').replace(chr(39), '')}"
        case _:
            return error["msg"].replace("Input should", "must")
