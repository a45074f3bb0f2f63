"""Schemas that say a thing in several parts, or more than decoding can enforce, still constrain an answer."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from conftest import llama, tokenizer

from seal_agent.base_model.model import BaseModel
from seal_agent.generation.answer_form.intersections import without_all_of
from seal_agent.generation.answer_form.schemas import grammar_of
from seal_agent.generation.hf import HFEngine
from seal_agent.types import Grammar, Sampling

jsonschema = pytest.importorskip("jsonschema")
pytest.importorskip("llguidance")

STRING: dict[str, Any] = {"type": "string"}


def having(*names: str, **more: Any) -> dict[str, Any]:
    """An object that needs a string under each name."""
    return {"type": "object", "properties": dict.fromkeys(names, STRING), "required": list(names), **more}


PARENT: dict[str, Any] = {"$defs": {"Parent": having("a")}}
TO_PARENT = {"$ref": "#/$defs/Parent"}


@pytest.fixture(scope="module")
def engine() -> HFEngine:
    return HFEngine(BaseModel("tiny", llama(), tokenizer(chat=True), "tiny-identity"))


def answer(engine: HFEngine, schema: dict[str, Any]) -> Any:
    """What is decoded under a schema; it follows the schema."""
    (said,) = engine.generate(["Say: "], Sampling(120, 0.7, seed=1, grammar=grammar_of([schema], 120)))
    value = json.loads(said.text)
    jsonschema.validate(value, schema)
    return value


@pytest.mark.parametrize(
    ("schema", "keys"),
    [
        ({"allOf": [having("a"), having("b")]}, "ab"),
        ({**PARENT, "allOf": [TO_PARENT, having("b")]}, "ab"),
        ({**PARENT, "allOf": [TO_PARENT], **having("b")}, "ab"),
        ({**PARENT, **TO_PARENT, **having("b")}, "ab"),
        ({"$defs": {**PARENT["$defs"], "Child": {"allOf": [TO_PARENT, having("b")]}}, "$ref": "#/$defs/Child"}, "ab"),
        ({**PARENT, **having(), "properties": {"c": {"allOf": [TO_PARENT, having("b")]}}, "required": ["c"]}, "c"),
        ({**PARENT, "allOf": [TO_PARENT, {"properties": {"a": {"const": "x"}}}]}, "a"),
        ({**having("a"), "oneOf": [having("b"), having("c")]}, "ab ac"),
        ({**having("a"), "anyOf": [{"required": ["a"]}, {"required": ["b"]}]}, "a ab"),
        (having("a", required=["a", "z"]), "az"),
        ({"type": "object", "required": ["p", "q"]}, "pq"),
    ],
)
def test_objects_described_in_parts_have_the_keys_of_all(engine: HFEngine, schema: dict[str, Any], keys: str) -> None:
    assert "".join(sorted(answer(engine, schema))) in keys.split()


def test_what_both_parts_say_of_a_key_counts() -> None:
    parts = [{"type": "string", "minLength": 2, "maxLength": 9}, {"minLength": 4, "maxLength": 12, "title": "T"}]
    assert without_all_of({"allOf": parts}) == {"type": "string", "minLength": 4, "maxLength": 9, "title": "T"}
    assert without_all_of({"allOf": [{"type": ["number", "null"]}, {"type": "integer"}]}) == {"type": "integer"}
    strict = having("a", additionalProperties=False)
    for parts in (
        [strict, having("b")],  # nothing follows both
        [strict, {"patternProperties": {"^b": STRING}}],
        [{"items": STRING}, {"prefixItems": [STRING, {"minLength": 3}]}],
        [{"pattern": "^a"}, {"pattern": "b$"}],
    ):
        assert without_all_of({"allOf": parts}) == {"allOf": parts}
    pairs = [{"items": {"minLength": 2}, "prefixItems": [STRING]}, {"type": "array"}]
    assert without_all_of({"allOf": pairs}) == {**pairs[0], **pairs[1]}
    shorter = {"$defs": {"S": {**STRING, "maxLength": 9}}, "allOf": [{"$ref": "#/$defs/S", "maxLength": 5}]}
    assert without_all_of(shorter)["maxLength"] == 5


@pytest.mark.parametrize(
    "part",
    [
        lambda before: {"allOf": [before, before]},
        lambda before: {"type": "object", "properties": {"x": {"allOf": [before]}, "y": {"allOf": [before]}}},
    ],
)
def test_a_schema_that_grows_too_much_when_it_is_merged_stays(part: Any) -> None:
    definitions: dict[str, Any] = {"a0": having("a")}
    for i in range(1, 41):
        definitions[f"a{i}"] = part({"$ref": f"#/$defs/a{i - 1}"})
    schema = {"$ref": "#/$defs/a40", "$defs": definitions}
    started = time.perf_counter()
    assert without_all_of(schema) == schema
    assert time.perf_counter() - started < 5
    circle = {"properties": {"a": {"allOf": [{"$ref": "#/properties/a"}]}}}
    assert without_all_of(circle) == circle


def test_formats_and_sets_that_decoding_does_not_know_are_left_to_the_reader(engine: HFEngine) -> None:
    kinds = {"path": {**STRING, "format": "path"}, "tags": {"type": "array", "items": STRING, "uniqueItems": True}}
    schema = having(properties=kinds, required=["path"])
    (said,) = engine.generate(["x"], Sampling(120, grammar=grammar_of([schema], 120)))
    assert "path" in json.loads(said.text)
    schema["additionalProperties"] = False
    (said,) = engine.generate(["x"], Sampling(120, grammar=Grammar("json_schema", json.dumps(schema))))
    assert said.text.startswith('{"path": "')
    dated = answer(engine, having(properties={"on": {**STRING, "format": "date"}}, required=["on"]))
    assert len(dated["on"]) == 10
    named = having(properties={"format": STRING, "uniqueItems": True}, required=["format", "uniqueItems"])
    assert answer(engine, named).keys() == {"format", "uniqueItems"}
