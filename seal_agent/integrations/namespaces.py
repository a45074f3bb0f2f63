"""Whose adapter is it? A namespace such as ("acme", "{user_id}"), filled from what a run knows of its user."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from uuid import UUID

from seal_agent.errors import InputError
from seal_agent.store.names import check_name

DEFAULT_NAMESPACE = ("{user_id}",)

_PLACEHOLDER = re.compile(r"\{([A-Za-z_]\w*)\}")
_HASHED = "_-"  # in an escaped name an underscore is followed by two hex digits, so none of them looks like this
_LONGEST = 64  # characters of a name; store/names.py
_NOT_FOR_USERS = {"default"}


def adapter_for(namespace: Sequence[str], context: object = None, config: Mapping[str, object] | None = None) -> str:
    """The adapter's name that a namespace means in this run; different identities never share one.

    "{user_id}" is looked up in `context`, the run's context (a mapping or an object), and in config["configurable"].
    Raises InputError where neither has it, where they disagree, and for a namespace that cannot be told apart.
    """
    check_namespace(namespace)
    if len(namespace) == 1 and not _PLACEHOLDER.search(namespace[0]):
        return check_name(namespace[0])  # the agent's author named one adapter for everybody
    return _named([_filled(part, context, config or {}) for part in namespace])


def check_namespace(namespace: Sequence[str]) -> None:
    """Raises InputError for a namespace that is empty, or none."""
    if isinstance(namespace, str) or not namespace or not all(isinstance(part, str) and part for part in namespace):
        raise InputError(f'namespace is a tuple of names such as ("acme", "{{user_id}}"), but it is {namespace!r}')
    for part in namespace:
        # With two of them in one part, a-b and c would come out as a and b-c do.
        if len(_PLACEHOLDER.findall(part)) > 1 or set("{}") & set(_PLACEHOLDER.sub("", part)):
            raise InputError(f"{part!r} cannot be part of a namespace; give each {{name}} a part of its own")


def _filled(part: str, context: object, config: Mapping[str, object]) -> str:
    found = _PLACEHOLDER.search(part)
    if found is None:
        return part
    identity = _identity(found[1], context, config)
    return part[: found.start()] + identity + part[found.end() :]


def _identity(name: str, context: object, config: Mapping[str, object]) -> str:
    configurable = config.get("configurable")
    places = {"context": context, 'config["configurable"]': configurable}
    values = {place: value for place, holder in places.items() if (value := _value(name, holder)) is not None}
    for place, value in values.items():
        if isinstance(value, bool) or not isinstance(value, str | int | UUID) or not str(value).strip():
            raise InputError(f"{name} in the run's {place} is {value!r}; give a text that is not empty")
    if not values:
        raise InputError(
            f"whose adapter it is cannot be told: this run has no {name}; invoke the agent with "
            f'context={{"{name}": …}} (and a context_schema that has it) or config={{"configurable": {{"{name}": …}}}}'
        )
    known, *others = {str(value) for value in values.values()}
    if others:
        raise InputError(f"{name} in the run's context and in its config are not the same; give it once")
    return known


def _value(name: str, holder: object) -> object:
    return holder.get(name) if isinstance(holder, Mapping) else getattr(holder, name, None)


def _named(parts: Sequence[str]) -> str:
    """One name for each sequence of parts: letters, digits and dashes as they are, other bytes as _hex, a dot between.

    Where that is no name, or one that means something else, a hash of it takes its place.
    """
    escaped = ".".join(map(_escaped, parts))
    if len(escaped) <= _LONGEST and escaped[0].isalnum() and escaped not in _NOT_FOR_USERS:
        return check_name(escaped)
    digest = hashlib.sha256(escaped.encode()).hexdigest()[:40]
    readable = re.sub("[^A-Za-z0-9]", "", escaped)[: _LONGEST - len(_HASHED) - len(digest)]
    return check_name(f"{readable or 'x'}{_HASHED}{digest}")


def _escaped(part: str) -> str:
    return re.sub(rb"[^A-Za-z0-9-]", lambda byte: b"_%02x" % byte[0][0], part.encode("utf-8", "surrogatepass")).decode()
