"""Namespaces: whose an adapter is, as a tuple of texts such as ("acme", "user 7")."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from seal_agent.errors import InputError
from seal_agent.store.names import check_name

DEFAULT = "default"
"""The adapter of a namespace that is meant where none is named."""

Namespace = tuple[str, ...]

_HASH_MARK = "_-"  # never part of an escaped name, where two hex digits follow every underscore
_MAX_NAME_LENGTH = 64  # characters; names.py


def as_namespace(parts: Sequence[str]) -> Namespace:
    """The parts as a tuple. Raises InputError for anything but texts, or none."""
    if isinstance(parts, str) or not parts or not all(isinstance(part, str) and part for part in parts):
        raise InputError(f'namespace is a tuple of names such as ("acme", "alice"), but it is {parts!r}')
    return tuple(parts)


def full_name(namespace: Sequence[str], adapter: str = DEFAULT) -> str:
    """The name of a namespace's adapter in the whole store. Different namespaces or adapters never share one.

    Letters, digits and dashes stay, other bytes become _hex, and dots separate the parts; an empty part, which no
    namespace has, comes before the adapter's own name. Where that is too long or reserved, a hash takes its place.
    """
    check_name(adapter)
    parts = [*namespace, *([] if adapter == DEFAULT else ["", adapter])]
    escaped = ".".join(map(_escape, parts))
    if len(escaped) <= _MAX_NAME_LENGTH and escaped[0].isalnum() and escaped != DEFAULT:
        return check_name(escaped)
    digest = hashlib.sha256(escaped.encode()).hexdigest()[:40]
    readable = re.sub("[^A-Za-z0-9]", "", escaped)[: _MAX_NAME_LENGTH - len(_HASH_MARK) - len(digest)]
    return check_name(f"{readable or 'x'}{_HASH_MARK}{digest}")


def _escape(part: str) -> str:
    return re.sub(rb"[^A-Za-z0-9-]", lambda byte: b"_%02x" % byte[0][0], part.encode("utf-8", "surrogatepass")).decode()
