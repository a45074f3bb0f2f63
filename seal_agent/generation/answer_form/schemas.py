"""JSON schemas with bounds for constrained decoding: what the schema allows, but short enough to come to an end."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from seal_agent.errors import InputError, first_line
from seal_agent.generation.answer_form.intersections import DEFINITIONS, JsonSchema, resolve, with_parts, without_all_of
from seal_agent.types import Grammar

# Small models write on and on if they may. Text within these bounds is valid under the original schema, too.
# The widest bounds are used whose longest text fits in max_tokens. The values were not tuned.
ITEMS = (64, 32, 16, 8, 4, 2, 1)  # of a list, and of an object with free keys
CHARACTERS = (16384, 4096, 2048, 1024, 512, 256, 128, 96, 64, 48, 32, 16, 8)  # of a string
MIN_CHARACTERS = 32  # the number of items is reduced before strings get shorter than this
MAX_NUMBER = 2**53 - 1  # the largest integer that every JSON reader keeps exact
SMALLEST_STEP = 1e-6  # between two numbers, which limits their decimals

CHARACTERS_PER_TOKEN = 2  # English has about four; names and other languages have fewer
_TOKENS = {"integer": 17, "number": 24, "boolean": 1, "null": 1}  # one token per digit
_TOKENS_OF_FORMAT = {"uuid": 38, "date-time": 34, "date": 13, "time": 24, "duration": 12}
ENFORCED_FORMATS = frozenset({*_TOKENS_OF_FORMAT, "email", "hostname", "ipv4", "ipv6", "uri"})
_TOKENS_OF_PATTERN, _TOKENS_OF_ANYTHING, _TOKENS_OF_KEY = 24, 24, 4
MAX_DEFINITIONS = 512  # of a schema; not tuned
_MAX_DEPTH = 3  # of recursive definitions

_FIXED_VALUES = ("enum", "const")


@dataclass(frozen=True, slots=True)
class Bounds:
    """Upper bounds of what a schema leaves open: characters of a string, items of a list or object."""

    characters: int
    items: int


def grammar_of(schemas: Sequence[JsonSchema], max_tokens: int) -> Grammar:
    """The grammar of a text that follows one of these schemas and fits in `max_tokens`.

    Formats that constrained decoding does not know, and `uniqueItems`, are not enforced.

    Raises InputError for what is no schema, or one with more than `MAX_DEFINITIONS` definitions.
    """
    try:
        schema = without_all_of(any_of([without_unenforced(unrolled(schema)) for schema in schemas]))
        bounded_schema = bounded(schema, bounds_for(schema, max_tokens))
        return Grammar("json_schema", json.dumps(bounded_schema, ensure_ascii=False))
    except InputError:
        raise
    except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError) as err:
        raise InputError(f"the JSON schema is malformed ({first_line(err)}); correct it") from err


def bounds_for(schema: JsonSchema, max_tokens: int) -> Bounds:
    """The widest bounds whose longest text fits in `max_tokens`; the narrowest bounds if none fit."""
    for min_characters in (MIN_CHARACTERS, min(CHARACTERS)):
        for items in ITEMS:
            for characters in CHARACTERS:
                if characters >= min_characters:
                    bounds = Bounds(characters, items)
                    if _LengthEstimator(schema, bounds).tokens(schema) <= max_tokens:
                        return bounds
    return Bounds(min(CHARACTERS), min(ITEMS))


def any_of(schemas: Sequence[JsonSchema]) -> dict[str, Any]:
    """A schema for text that follows one of these; references inside each still point at its own definitions."""
    if len(schemas) == 1:
        return dict(schemas[0])
    definitions = {str(i): rebase_refs(schema, f"#/$defs/{i}") for i, schema in enumerate(schemas)}
    return {"anyOf": [{"$ref": f"#/$defs/{name}"} for name in definitions], "$defs": definitions}


def without_unenforced(schema: Any) -> Any:
    """The schema without formats that llguidance does not know, and without uniqueItems; it would refuse both."""
    if not isinstance(schema, Mapping):
        return schema
    out = {key: value for key, value in schema.items() if key != "uniqueItems"}
    if isinstance(out.get("format"), str) and out["format"] not in ENFORCED_FORMATS:
        del out["format"]
    return with_parts(out, without_unenforced)


def rebase_refs(schema: Any, root: str) -> Any:
    """The schema with its references rewritten for its new place, `root`, in a larger schema."""
    if isinstance(schema, list):
        return [rebase_refs(part, root) for part in schema]
    if not isinstance(schema, Mapping):
        return schema
    return {
        key: root + value[1:]
        if key == "$ref" and isinstance(value, str) and value.startswith("#")
        else rebase_refs(value, root)
        for key, value in schema.items()
    }


def recursive_refs(schema: JsonSchema) -> frozenset[str]:
    """References to the definitions of a schema that lead back to themselves.

    Raises InputError for more than `MAX_DEFINITIONS` definitions.
    """
    definitions = {f"#/{key}/{name}": part for key in DEFINITIONS for name, part in schema.get(key, {}).items()}
    if len(definitions) > MAX_DEFINITIONS:
        raise InputError(
            f"the JSON schema has {len(definitions)} definitions, but at most {MAX_DEFINITIONS} are taken; "
            "leave out what it does not use, or split it"
        )
    targets = {ref: definitions.keys() & set(_references(part)) for ref, part in definitions.items()}
    sources: dict[str, set[str]] = {ref: set() for ref in definitions}
    for ref, leads_to in targets.items():
        for target in leads_to:
            sources[target].add(ref)
    # Kosaraju's algorithm: against the arrows, from the last that a depth-first search left, lie those in one circle.
    found: set[str] = set()
    seen: set[str] = set()
    for ref in reversed(_left_in_order(targets, targets, set())):
        circle = _left_in_order(sources, [ref], seen)
        if len(circle) > 1 or (ref in targets[ref] and circle):
            found.update(circle)
    return frozenset(found)


def unrolled(schema: JsonSchema) -> JsonSchema:
    """The schema with a copy of each recursive definition per depth; below the last depth nothing is allowed."""
    recursive = recursive_refs(schema)
    if not recursive:
        return schema

    def copy_at(part: Any, depth: int) -> Any:
        if isinstance(part, list):
            return [copy_at(item, depth) for item in part]
        if not isinstance(part, Mapping):
            return part
        if part.get("$ref") in recursive:
            return depth < _MAX_DEPTH and {**part, "$ref": f"{part['$ref']}.{depth}"}
        return {key: copy_at(value, depth) for key, value in part.items()}

    out: dict[str, Any] = copy_at({key: value for key, value in schema.items() if key not in DEFINITIONS}, 0)
    for key in set(DEFINITIONS) & set(schema):
        out[key] = {name: copy_at(part, 0) for name, part in schema[key].items() if f"#/{key}/{name}" not in recursive}
        for name in (name for name in schema[key] if f"#/{key}/{name}" in recursive):
            out[key] |= {f"{name}.{depth}": copy_at(schema[key][name], depth + 1) for depth in range(_MAX_DEPTH)}
    return out


def bounded(schema: Any, bounds: Bounds, close: bool = True) -> Any:
    """The schema with bounds on every string, list and number, and without keys that it does not name.

    `close` is False in and beside an allOf that stayed, where each part would forbid the keys of the others.
    """
    if not isinstance(schema, Mapping):
        return schema
    close = close and "allOf" not in schema
    out = with_parts(schema, lambda part: bounded(part, bounds, close))
    return out if any(key in out for key in _FIXED_VALUES) else {**out, **_limits(out, bounds, close)}


def _limits(schema: JsonSchema, bounds: Bounds, close: bool) -> dict[str, Any]:
    types, limits = _types(schema), dict[str, Any]()
    if "string" in types and not _has_pattern_or_format(schema):
        limits["maxLength"] = _clamp(schema, "Length", bounds.characters)
    if "array" in types:
        limits["maxItems"] = _clamp(schema, "Items", _item_limit(schema, bounds))
    if "properties" in schema:
        if close and "patternProperties" not in schema:
            if "additionalProperties" not in schema:  # keys that are required without a description may be anything
                free = [name for name in schema.get("required", ()) if name not in schema["properties"]]
                limits["properties"] = {**schema["properties"], **dict.fromkeys(free, True)}
            limits["additionalProperties"] = schema.get("additionalProperties", False)
    elif "object" in types:
        limits["maxProperties"] = max(_clamp(schema, "Properties", bounds.items), len(schema.get("required", ())))
    return limits | (_number_limits(schema, "number" not in types) if {"integer", "number"} & types else {})


def _tuple_of(schema: JsonSchema) -> tuple[list[Any], Any]:
    """The schemas of a list's first items, each its own, and that of the items after them."""
    if isinstance(schema.get("prefixItems"), list):
        return schema["prefixItems"], schema.get("items", True)
    if isinstance(schema.get("items"), list):
        return schema["items"], schema.get("additionalItems", True)
    return [], schema.get("items", True)


def _item_limit(schema: JsonSchema, bounds: Bounds) -> int:
    """The upper bound of a list's items. A tuple's own items suffice unless the schema describes more of them."""
    first, rest = _tuple_of(schema)
    return len(first) + bounds.items if isinstance(rest, Mapping) or not first else len(first)


def _clamp(schema: JsonSchema, keyword: str, limit: int) -> int:
    """The limit, clamped to the schema's own minimum and maximum of `keyword` ("Length", "Items", "Properties")."""
    return int(max(schema.get(f"min{keyword}", 0), min(limit, schema.get(f"max{keyword}", limit))))


def _number_limits(schema: JsonSchema, integer: bool) -> dict[str, Any]:
    limits: dict[str, Any] = {}
    if "minimum" not in schema and "exclusiveMinimum" not in schema:
        limits["minimum"] = min(-MAX_NUMBER, schema.get("maximum", 0), schema.get("exclusiveMaximum", 0) - 1)
    if "maximum" not in schema and "exclusiveMaximum" not in schema:
        limits["maximum"] = max(MAX_NUMBER, schema.get("minimum", 0), schema.get("exclusiveMinimum", 0) + 1)
    if not integer and "multipleOf" not in schema:
        limits["multipleOf"] = SMALLEST_STEP
    return limits


class _LengthEstimator:
    """Estimates the tokens of the longest text that a schema allows within bounds. The schema must be unrolled."""

    def __init__(self, root: JsonSchema, bounds: Bounds) -> None:
        self._root, self._bounds = root, bounds
        self._of_ref: dict[str, int] = {}

    def tokens(self, schema: Any) -> int:
        if not isinstance(schema, Mapping):
            return 0 if schema is False else _TOKENS_OF_ANYTHING
        if any(key in schema for key in _FIXED_VALUES):
            return max(len(json.dumps(value)) for value in schema.get("enum", [schema.get("const")])) // 2 + 1
        if isinstance(ref := schema.get("$ref"), str):
            return self._tokens_of_ref(ref)
        if choices := schema.get("anyOf", schema.get("oneOf")):
            return max(self.tokens(choice) for choice in choices)
        total = sum(self.tokens(part) for part in schema.get("allOf", ()))
        types = _types(schema) or ({"object"} if "properties" in schema else set())
        return total or max((self._tokens_of_type(type_, schema) for type_ in types), default=_TOKENS_OF_ANYTHING)

    def _tokens_of_ref(self, ref: str) -> int:
        """Of what a reference points at, looked at once: definitions that use others twice would double the work."""
        if ref == "#":
            return _TOKENS_OF_ANYTHING
        if ref not in self._of_ref:
            self._of_ref[ref] = self.tokens(resolve(self._root, ref))
        return self._of_ref[ref]

    def _tokens_of_type(self, type_: str, schema: JsonSchema) -> int:
        match type_:
            case "string" if "pattern" in schema:
                return _TOKENS_OF_PATTERN
            case "string" if _has_pattern_or_format(schema):
                return _TOKENS_OF_FORMAT[schema["format"]]
            case "string":
                return 2 + _clamp(schema, "Length", self._bounds.characters) // CHARACTERS_PER_TOKEN
            case "array":
                first, rest = _tuple_of(schema)
                more = max(0, _clamp(schema, "Items", _item_limit(schema, self._bounds)) - len(first))
                return 2 + sum(1 + self.tokens(part) for part in first) + more * (1 + self.tokens(rest))
            case "object" if "properties" in schema:
                properties = schema["properties"].items()
                return 2 + sum(_TOKENS_OF_KEY + len(name) // 3 + self.tokens(part) for name, part in properties)
            case "object":
                per_item = 2 * _TOKENS_OF_KEY + self.tokens(schema.get("additionalProperties", True))
                return 2 + _clamp(schema, "Properties", self._bounds.items) * per_item
        return _TOKENS.get(type_, _TOKENS_OF_ANYTHING)


def _has_pattern_or_format(schema: JsonSchema) -> bool:
    return "pattern" in schema or schema.get("format") in _TOKENS_OF_FORMAT


def _types(schema: JsonSchema) -> set[str]:
    type_ = schema.get("type", ())
    return {type_} if isinstance(type_, str) else set(type_)


def _left_in_order(edges: Mapping[str, Set[str]], starts: Iterable[str], seen: set[str]) -> list[str]:
    """What a depth-first search reaches that was not seen before, in the order in which it leaves it."""
    left: list[str] = []
    stack = [(start, False) for start in starts]
    while stack:
        ref, is_done = stack.pop()
        if is_done:
            left.append(ref)
        elif ref not in seen:
            seen.add(ref)
            stack.append((ref, True))
            stack += [(target, False) for target in edges[ref]]
    return left


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, Mapping):
        if isinstance(ref := schema.get("$ref"), str):
            yield ref
        schema = list(schema.values())
    if isinstance(schema, list):
        for part in schema:
            yield from _references(part)
