"""JSON schemas as decoding is held to them: everything the schema allows, only shorter, so that it comes to an end."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seal_agent.types import Grammar

# Our choices. Where it may, a small model goes on and on; what is written within bounds is valid without them too.
# Of the bounds below, the widest is taken whose longest text can be written with the tokens that there are.
ITEMS = (64, 32, 16, 8, 4, 2, 1)  # of a list, and of an object whose keys are free
CHARACTERS = (16384, 4096, 2048, 1024, 512, 256, 128, 96, 64, 48, 32, 16, 8)  # of a string
FEWEST_CHARACTERS = 32  # rather fewer items than shorter strings
MAX_NUMBER = 2**53 - 1  # the largest integer that every JSON reader keeps exact
SMALLEST_STEP = 1e-6  # decimals of a number

CHARACTERS_PER_TOKEN = 2  # English has about four; names and other languages have fewer
_TOKENS = {"integer": 17, "number": 24, "boolean": 1, "null": 1}  # a token per digit
_TOKENS_OF_FORMAT = {"uuid": 38, "date-time": 34, "date": 13, "time": 24, "duration": 12}
_TOKENS_OF_PATTERN, _TOKENS_OF_ANYTHING, _TOKENS_OF_KEY = 24, 24, 4
_DEPTH = 3  # of definitions that hold themselves

_DEFINITIONS = ("$defs", "definitions")
_MAPS = ("properties", "patternProperties", *_DEFINITIONS)
_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_SINGLE = ("items", "additionalProperties")
_FIXED = ("enum", "const")
JsonSchema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long what a schema leaves open may become."""

    characters: int
    items: int


def grammar_of(schemas: Sequence[JsonSchema], max_tokens: int) -> Grammar:
    """What decoding is held to for what follows one of these schemas, if at most `max_tokens` may be written."""
    schema = any_of([unrolled(one) for one in schemas])
    held = bounded(schema, bounds_for(schema, max_tokens))
    return Grammar("json_schema", json.dumps(held, ensure_ascii=False))


def bounds_for(schema: JsonSchema, max_tokens: int) -> Bounds:
    """The widest bounds that leave room for the longest text within them; the narrowest, where none do."""
    for shortest in (FEWEST_CHARACTERS, min(CHARACTERS)):
        for items in ITEMS:
            for characters in CHARACTERS:
                if characters >= shortest:
                    bounds = Bounds(characters, items)
                    if _Longest(schema, bounds).tokens(schema) <= max_tokens:
                        return bounds
    return Bounds(min(CHARACTERS), min(ITEMS))


def any_of(schemas: Sequence[JsonSchema]) -> dict[str, Any]:
    """A schema for what fulfils one of these; references inside of each still point at its own definitions."""
    if len(schemas) == 1:
        return dict(schemas[0])
    homes = {str(i): moved(schema, f"#/$defs/{i}") for i, schema in enumerate(schemas)}
    return {"anyOf": [{"$ref": f"#/$defs/{name}"} for name in homes], "$defs": homes}


def moved(schema: Any, home: str) -> Any:
    """The schema with its references rewritten for a new place, `home`, in a larger one."""
    if isinstance(schema, list):
        return [moved(part, home) for part in schema]
    if not isinstance(schema, Mapping):
        return schema
    return {
        key: home + value[1:]
        if key == "$ref" and isinstance(value, str) and value.startswith("#")
        else moved(value, home)
        for key, value in schema.items()
    }


def loops(schema: JsonSchema) -> frozenset[str]:
    """References to those definitions of a schema that lead back to themselves."""
    homes = {f"#/{key}/{name}": part for key in _DEFINITIONS for name, part in schema.get(key, {}).items()}
    reached = {home: set(_references(part)) for home, part in homes.items()}
    for _ in homes:
        reached = {home: refs.union(*(reached.get(ref, set()) for ref in refs)) for home, refs in reached.items()}
    return frozenset(home for home, refs in reached.items() if home in refs)


def unrolled(schema: JsonSchema) -> JsonSchema:
    """The schema with a copy of every definition that holds itself for each depth, and nothing below the last one."""
    looping = loops(schema)
    if not looping:
        return schema

    def at(part: Any, depth: int) -> Any:
        if isinstance(part, list):
            return [at(one, depth) for one in part]
        if not isinstance(part, Mapping):
            return part
        if part.get("$ref") in looping:
            return depth < _DEPTH and {**part, "$ref": f"{part['$ref']}.{depth}"}
        return {key: at(value, depth) for key, value in part.items()}

    out: dict[str, Any] = at({key: value for key, value in schema.items() if key not in _DEFINITIONS}, 0)
    for key in set(_DEFINITIONS) & set(schema):
        out[key] = {name: at(part, 0) for name, part in schema[key].items() if f"#/{key}/{name}" not in looping}
        for name in (name for name in schema[key] if f"#/{key}/{name}" in looping):
            out[key] |= {f"{name}.{depth}": at(schema[key][name], depth + 1) for depth in range(_DEPTH)}
    return out


def bounded(schema: Any, bounds: Bounds, close: bool = True) -> Any:
    """The schema with an end to every string, list and number, and no keys that it does not name.

    `close` is False inside of allOf, where each part would forbid the keys of the others.
    """
    if not isinstance(schema, Mapping):
        return schema
    out = dict(schema)
    for key in _MAPS:
        if isinstance(out.get(key), Mapping):
            out[key] = {name: bounded(part, bounds, close) for name, part in out[key].items()}
    for key in _LISTS:
        if isinstance(out.get(key), list):
            out[key] = [bounded(part, bounds, close and key != "allOf") for part in out[key]]
    for key in _SINGLE:
        if key in out:
            out[key] = bounded(out[key], bounds, close)
    return out if any(key in out for key in _FIXED) else {**out, **_limits(out, bounds, close)}


def _limits(schema: JsonSchema, bounds: Bounds, close: bool) -> dict[str, Any]:
    kinds, limits = _kinds(schema), {}
    if "string" in kinds and not _has_own_length(schema):
        limits["maxLength"] = _between(schema, "Length", bounds.characters)
    if "array" in kinds and "prefixItems" not in schema:
        limits["maxItems"] = _between(schema, "Items", bounds.items)
    if "properties" in schema:
        if close and "patternProperties" not in schema:
            limits["additionalProperties"] = schema.get("additionalProperties", False)
    elif "object" in kinds:
        limits["maxProperties"] = _between(schema, "Properties", bounds.items)
    return limits | (_number_limits(schema, "number" not in kinds) if {"integer", "number"} & kinds else {})


def _between(schema: JsonSchema, what: str, wanted: int) -> int:
    """As many as wanted, but not fewer nor more than the schema itself says."""
    return int(max(schema.get(f"min{what}", 0), min(wanted, schema.get(f"max{what}", wanted))))


def _number_limits(schema: JsonSchema, whole: bool) -> dict[str, Any]:
    limits: dict[str, Any] = {}
    if "minimum" not in schema and "exclusiveMinimum" not in schema:
        limits["minimum"] = min(-MAX_NUMBER, schema.get("maximum", 0), schema.get("exclusiveMaximum", 0) - 1)
    if "maximum" not in schema and "exclusiveMaximum" not in schema:
        limits["maximum"] = max(MAX_NUMBER, schema.get("minimum", 0), schema.get("exclusiveMinimum", 0) + 1)
    if not whole and "multipleOf" not in schema:
        limits["multipleOf"] = SMALLEST_STEP
    return limits


class _Longest:
    """Estimates the tokens of the longest text that a schema within bounds allows; it must be unrolled."""

    def __init__(self, root: JsonSchema, bounds: Bounds) -> None:
        self._root, self._bounds = root, bounds

    def tokens(self, schema: Any) -> int:
        if not isinstance(schema, Mapping):
            return 0 if schema is False else _TOKENS_OF_ANYTHING
        if any(key in schema for key in _FIXED):
            return max(len(json.dumps(value)) for value in schema.get("enum", [schema.get("const")])) // 2 + 1
        if isinstance(ref := schema.get("$ref"), str):
            return self.tokens(_found(self._root, ref)) if ref != "#" else _TOKENS_OF_ANYTHING
        if choices := schema.get("anyOf", schema.get("oneOf")):
            return max(self.tokens(choice) for choice in choices)
        whole = sum(self.tokens(part) for part in schema.get("allOf", ()))
        kinds = _kinds(schema) or ({"object"} if "properties" in schema else set())
        return whole or max((self._of_kind(kind, schema) for kind in kinds), default=_TOKENS_OF_ANYTHING)

    def _of_kind(self, kind: str, schema: JsonSchema) -> int:
        match kind:
            case "string" if "pattern" in schema:
                return _TOKENS_OF_PATTERN
            case "string" if _has_own_length(schema):
                return _TOKENS_OF_FORMAT[schema["format"]]
            case "string":
                return 2 + _between(schema, "Length", self._bounds.characters) // CHARACTERS_PER_TOKEN
            case "array" if "prefixItems" in schema:
                return 2 + sum(1 + self.tokens(part) for part in schema["prefixItems"])
            case "array":
                each = 1 + self.tokens(schema.get("items", True))
                return 2 + _between(schema, "Items", self._bounds.items) * each
            case "object" if "properties" in schema:
                named = schema["properties"].items()
                return 2 + sum(_TOKENS_OF_KEY + len(name) // 3 + self.tokens(part) for name, part in named)
            case "object":
                each = 2 * _TOKENS_OF_KEY + self.tokens(schema.get("additionalProperties", True))
                return 2 + _between(schema, "Properties", self._bounds.items) * each
        return _TOKENS.get(kind, _TOKENS_OF_ANYTHING)


def _has_own_length(schema: JsonSchema) -> bool:
    return "pattern" in schema or schema.get("format") in _TOKENS_OF_FORMAT


def _kinds(schema: JsonSchema) -> set[str]:
    kind = schema.get("type", ())
    return {kind} if isinstance(kind, str) else set(kind)


def _found(root: JsonSchema, ref: str) -> Any:
    """What a reference points at; True, anything, where that is not in this schema."""
    at: Any = root
    for step in ref.removeprefix("#").split("/")[1:]:
        at = at.get(step.replace("~1", "/").replace("~0", "~"), True) if isinstance(at, Mapping) else True
    return at


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, Mapping):
        if isinstance(ref := schema.get("$ref"), str):
            yield ref
        schema = list(schema.values())
    if isinstance(schema, list):
        for part in schema:
            yield from _references(part)
