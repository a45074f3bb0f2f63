"""Which adapter a run uses: a namespace such as ("acme", "{user_id}"), filled from the run's context or config."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from uuid import UUID

from seal_agent.errors import InputError
from seal_agent.store.names import check_name
from seal_agent.store.namespaces import full_name

DEFAULT_NAMESPACE = ("{user_id}",)

_PLACEHOLDER = re.compile(r"\{([A-Za-z_]\w*)\}")


def adapter_for(namespace: Sequence[str], context: object = None, config: Mapping[str, object] | None = None) -> str:
    """The name of the adapter that a namespace denotes in this run. Different identities never share a name.

    Args:
        namespace: the parts of the name; "{user_id}" stands for the run's user_id.
        context: the run's context, a mapping or an object with the placeholder's value.
        config: the run's config; its "configurable" may hold the value instead.

    Raises InputError if neither holds the value, if they disagree, or if the namespace is invalid.
    """
    parts = namespace_for(namespace, context, config)
    return full_name(parts) if parts else check_name(namespace[0])


def namespace_for(
    namespace: Sequence[str], context: object = None, config: Mapping[str, object] | None = None
) -> tuple[str, ...]:
    """The namespace with the run's values in it; () for one adapter for everybody, as the agent's author chose.

    Raises InputError as `adapter_for` does.
    """
    check_namespace(namespace)
    if len(namespace) == 1 and not _PLACEHOLDER.search(namespace[0]):
        return ()
    return tuple(_fill(part, context, config or {}) for part in namespace)


def check_namespace(namespace: Sequence[str]) -> None:
    """Raises InputError for an empty namespace, for anything else than a sequence of texts, and for ambiguous parts."""
    if isinstance(namespace, str) or not namespace or not all(isinstance(part, str) and part for part in namespace):
        raise InputError(f'namespace is a tuple of names such as ("acme", "{{user_id}}"), but it is {namespace!r}')
    for part in namespace:
        # Two placeholders in one part are ambiguous: "a-b" and "c" would give the same name as "a" and "b-c".
        if len(_PLACEHOLDER.findall(part)) > 1 or set("{}") & set(_PLACEHOLDER.sub("", part)):
            raise InputError(f"{part!r} cannot be part of a namespace; give each {{name}} a part of its own")


def _fill(part: str, context: object, config: Mapping[str, object]) -> str:
    """The part with its placeholder replaced by the run's value."""
    match = _PLACEHOLDER.search(part)
    if match is None:
        return part
    identity = _identity(match[1], context, config)
    return part[: match.start()] + identity + part[match.end() :]


def _identity(name: str, context: object, config: Mapping[str, object]) -> str:
    """The run's value of a placeholder. Raises InputError if it is missing, unusable or contradictory."""
    sources = {"context": context, 'config["configurable"]': config.get("configurable")}
    values = {label: value for label, source in sources.items() if (value := _lookup(name, source)) is not None}
    for label, value in values.items():
        if isinstance(value, bool) or not isinstance(value, str | int | UUID) or not str(value).strip():
            raise InputError(f"{name} in the run's {label} is {value!r}; give a text that is not empty")
    if not values:
        raise InputError(
            f"whose adapter it is cannot be told: this run has no {name}; invoke the agent with "
            f'context={{"{name}": …}} (and a context_schema that has it) or config={{"configurable": {{"{name}": …}}}}'
        )
    identity, *conflicting = {str(value) for value in values.values()}
    if conflicting:
        raise InputError(f"{name} in the run's context and in its config are not the same; give it once")
    return identity


def _lookup(name: str, source: object) -> object:
    return source.get(name) if isinstance(source, Mapping) else getattr(source, name, None)
