"""JSON schemas without allOf: what several schemas ask of one object is asked by a single one.

Objects are closed for constrained decoding. Closed one by one, parts that describe one object would forbid the keys of
each other: inheritance, as OpenAPI writes it, would allow nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

DEFINITIONS = ("$defs", "definitions")
_SCHEMA_MAPS = ("properties", "patternProperties", *DEFINITIONS)
_SCHEMA_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems", "items")
_SINGLE_SCHEMAS = ("items", "additionalItems", "additionalProperties")
_OF_THE_REST: Mapping[str, tuple[str, ...]] = {
    "additionalProperties": ("properties", "patternProperties"),
    "items": ("prefixItems",),
    "additionalItems": ("items",),
}
"""Keywords about what others leave, and these others."""
MAX_SCHEMAS = 4096  # looked at within one schema; not tuned
_CHOICES = ("anyOf", "oneOf")
_NOTES = ("title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly", "$comment", "$schema")
JsonSchema = Mapping[str, Any]


def with_parts(schema: JsonSchema, change: Callable[[Any], Any]) -> dict[str, Any]:
    """The schema with a change to each of the schemas in it."""
    out = dict(schema)
    for key in _SCHEMA_MAPS:
        if isinstance(out.get(key), Mapping):
            out[key] = {name: change(part) for name, part in out[key].items()}
    for key in _SCHEMA_LISTS:
        if isinstance(out.get(key), list):
            out[key] = [change(part) for part in out[key]]
    for key in _SINGLE_SCHEMAS:
        if isinstance(out.get(key), Mapping):
            out[key] = change(out[key])
    return out


class _Unmerged(Exception):
    """Two schemas that no single one can stand for."""


class _TooLarge(Exception):
    """A schema that grows without end, or far too much, where references are replaced by what they point at."""


def without_all_of(schema: JsonSchema) -> dict[str, Any]:
    """The schema with each allOf, and each object with alternatives, merged as far as one schema can say the same.

    Recursive definitions must be unrolled. What cannot be merged stays as it is.
    """
    try:
        merged: dict[str, Any] = _Merger(schema).everywhere(schema)
    except (_TooLarge, RecursionError):
        return dict(schema)
    return merged


class _Merger:
    def __init__(self, root: JsonSchema) -> None:
        self._root, self._left = root, MAX_SCHEMAS

    def everywhere(self, schema: Any) -> Any:
        """The schema and all schemas in it, merged."""
        if not isinstance(schema, Mapping):
            return schema
        try:
            out = self._merged(schema, frozenset())
        except _Unmerged:
            out = dict(schema)
        return with_parts(out, self.everywhere)

    def _merged(self, schema: JsonSchema, seen: frozenset[str]) -> dict[str, Any]:
        """The schema without allOf, without alternatives beside properties, without a reference beside either."""
        self._left -= 1
        if self._left < 0:
            raise _TooLarge
        out = {key: value for key, value in schema.items() if key != "allOf"}
        parts = list(schema.get("allOf", ()))
        if "$ref" in out and (parts or _says_more(out)):
            parts.insert(0, {"$ref": out.pop("$ref")})
        for part in parts:
            more = self._merged(*self._resolved(part, seen))
            out = _both(out, {key: value for key, value in more.items() if key not in DEFINITIONS})
        choices = [key for key in _CHOICES if key in out]
        if len(choices) == 1 and "properties" in out:
            return self._distributed(out, choices[0], seen)
        return out

    def _distributed(self, schema: JsonSchema, key: str, seen: frozenset[str]) -> dict[str, Any]:
        """An object with alternatives as alternatives, each of them the whole object."""
        kept = {name: part for name, part in schema.items() if name in DEFINITIONS}
        own = {name: part for name, part in schema.items() if name != key and name not in kept}
        options = [self._merged(*self._resolved(option, seen)) for option in schema[key]]
        return {**kept, key: [_both(own, option) for option in options]}

    def _resolved(self, schema: Any, seen: frozenset[str]) -> tuple[JsonSchema, frozenset[str]]:
        """What a reference points at, and the references that led there."""
        if not isinstance(schema, Mapping):
            raise _Unmerged
        ref = schema.get("$ref")
        if ref is None or _says_more(schema):
            return schema, seen
        if ref in seen or not isinstance(ref, str) or ref == "#":
            raise _Unmerged
        return self._resolved(resolve(self._root, ref), seen | {ref})


def _says_more(schema: JsonSchema) -> bool:
    """Whether a schema with a reference has other keywords that count."""
    return bool(schema.keys() - {"$ref", *_NOTES, *DEFINITIONS})


def resolve(root: JsonSchema, ref: str) -> Any:
    """The part of the schema that a reference points at; True (which allows anything) if there is none."""
    part: Any = root
    for step in ref.removeprefix("#").split("/")[1:]:
        part = part.get(step.replace("~1", "/").replace("~0", "~"), True) if isinstance(part, Mapping) else True
    return part


def _both(left: JsonSchema, right: JsonSchema) -> dict[str, Any]:
    """A schema for what follows both. Raises _Unmerged where none of the keywords known here says so."""
    out = {**right, **left}
    for schema, other in ((left, right), (right, left)):
        if any(key in schema and _names_more(key, other, schema) for key in _OF_THE_REST):
            raise _Unmerged  # what one says of the rest is about what the other names
    for key in left.keys() & right.keys() - set(_NOTES):
        out[key] = left[key] if left[key] == right[key] else _of_both(key, left[key], right[key])
    return out


def _names_more(key: str, schema: JsonSchema, other: JsonSchema) -> bool:
    """Whether a schema describes some of what would be the rest, about which this keyword of the other is."""
    for name in _OF_THE_REST[key]:
        part, known = schema.get(name), other.get(name) or {}
        both_by_key = isinstance(part, Mapping) and isinstance(known, Mapping)
        if part and part != known and (not both_by_key or part.keys() - known.keys()):
            return True
    return False


def _of_both(key: str, left: Any, right: Any) -> Any:
    """The value of one keyword for what follows two schemas that differ in it."""
    if key == "properties":
        shared = [name for name in left.keys() & right.keys() if left[name] != right[name]]
        return {**left, **right, **{name: {"allOf": [left[name], right[name]]} for name in shared}}
    if key == "required":
        return [*left, *(name for name in right if name not in left)]
    if key == "type":
        return _type_of_both(left, right)
    if key.startswith("min") or key == "exclusiveMinimum":
        return max(left, right)
    if key.startswith("max") or key == "exclusiveMaximum":
        return min(left, right)
    raise _Unmerged


def _type_of_both(left: Any, right: Any) -> Any:
    lefts, rights = ([types] if isinstance(types, str) else list(types) for types in (left, right))
    found = [type_ for type_ in lefts if type_ in rights or (type_ == "integer" and "number" in rights)]
    found += [type_ for type_ in rights if type_ == "integer" and "number" in lefts and type_ not in found]
    if not found:
        raise _Unmerged
    return found[0] if len(found) == 1 else found
