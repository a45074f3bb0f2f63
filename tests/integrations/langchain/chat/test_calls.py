"""Tools and schemas: told in the model's own way, held to where they must be, and read back piece by piece."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from enum import Enum
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import jsonschema
import pytest
from conftest import CHAT_TEMPLATE, random_adapter
from fakes import ScriptedEngine
from stored_adapters import store

pytest.importorskip("langchain_core")

from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from pydantic import BaseModel as Schema
from pydantic import Field
from typing_extensions import TypedDict

from seal_agent.base_model.model import BaseModel
from seal_agent.errors import InputError
from seal_agent.generation.answer_form.form import Form
from seal_agent.generation.answer_form.reading import CallPiece, Part, Reader
from seal_agent.generation.answer_form.schemas import (
    CHARACTERS,
    MAX_DEFINITIONS,
    Bounds,
    any_of,
    bounded,
    bounds_for,
    grammar_of,
    recursive_refs,
    unrolled,
)
from seal_agent.integrations.langchain import ChatSeal
from seal_agent.integrations.langchain.chat.calls import form_of, schema_of, tool_of
from seal_agent.model import SelfAdaptingModel
from seal_agent.types import Chat, Message

ASK = "What is the weather in Tarawa?"
NATIVE_TEMPLATE = (
    "{% if tools %}<turn>tools\n{{ tools | tojson }}</turn>\n{% endif %}"
    "{% for m in messages %}<turn>{{ m['role'] }}{% if m.name %} {{ m.name }}{% endif %}: {{ m['content'] }}"
    "{% for c in m.tool_calls or [] %}<tool_call>\n{{ c.function.name }} {{ c.function.arguments.place }}</tool_call>"
    "{% endfor %}</turn>\n{% endfor %}{% if add_generation_prompt %}<turn>assistant\n{% endif %}"
)


@tool
def weather(place: str, days: int = 1) -> str:
    """Look up the weather."""
    return f"{place}: sunny for {days} days"


class Unit(Enum):
    C = "celsius"
    F = "fahrenheit"


class Place(Schema):
    """A place."""

    name: str
    inside: Place | None = None


class Trip(Schema):
    """A trip to plan."""

    goal: Place
    days: int = Field(gt=0, le=14)
    budget: float
    unit: Unit
    mode: Literal["ship", "plane"]
    notes: list[str]
    prices: dict[str, float]
    back: bool | None = None


class Question(TypedDict):
    """A question."""

    text: str
    about: str


def convert(amount: float, to: str) -> float:
    """Convert an amount of money."""
    return amount


@pytest.fixture
def seal(tiny_base: BaseModel, tmp_path: Path) -> SelfAdaptingModel:
    return SelfAdaptingModel(tiny_base, home=tmp_path / "home")


@pytest.fixture
def llm(seal: SelfAdaptingModel) -> ChatSeal:
    return ChatSeal(backend=seal, max_tokens=160)


def scripted(base: BaseModel, home: Path, answer: str) -> ChatSeal:
    return ChatSeal(backend=SelfAdaptingModel(base, home=home, engine=ScriptedEngine(lambda *_: answer)))


def prompt_of(llm: ChatSeal) -> Any:
    return llm.seal.engine.calls[-1].prompts[0]  # type: ignore[attr-defined]


# ---------------------------------------------------------------- how the model is told


def test_a_template_without_tools_is_told_in_the_system_message(tiny_base: BaseModel, tmp_path: Path) -> None:
    llm = scripted(tiny_base, tmp_path, "Sunny.")
    assert llm.bind_tools([weather]).invoke([("system", "Be brief."), ("user", ASK)]).content == "Sunny."
    system, user = prompt_of(llm)
    assert user == Message("user", ASK)
    assert system.content.startswith("Be brief.\n\nYou can use these tools:\n")
    assert json.dumps(tool_of(weather).openai["function"]) in system.content
    llm.bind_tools([weather], tool_choice="none").invoke(ASK)
    assert prompt_of(llm) == (Message("user", ASK),)


def test_a_template_with_tools_renders_them_itself(tiny_base: BaseModel, tmp_path: Path) -> None:
    tiny_base.tokenizer.chat_template = NATIVE_TEMPLATE
    assert tiny_base.describes_tools
    llm = scripted(tiny_base, tmp_path, "Sunny.")
    call = {"name": "weather", "args": {"place": "Tarawa"}, "id": "1", "type": "tool_call"}
    turns = [HumanMessage(ASK), AIMessage("", tool_calls=[call]), ToolMessage("rain", tool_call_id="1", name="weather")]
    llm.bind_tools([weather]).invoke(turns)
    prompt = prompt_of(llm)
    assert isinstance(prompt, Chat)
    text = tiny_base.tokenizer.decode(tiny_base.encode(prompt))
    assert text.startswith('<turn>tools\n[{"type": "function", "function": {"name": "weather"')
    assert "<turn>assistant: <tool_call>\nweather Tarawa</tool_call></turn>" in text
    assert text.endswith("<turn>tool weather: rain</turn>\n<turn>assistant\n")
    llm.bind_tools([weather], tool_choice="weather").invoke(ASK)
    assert tiny_base.tokenizer.decode(tiny_base.encode(prompt_of(llm))).endswith(
        '<turn>assistant\n<tool_call>\n{"name": "weather", "arguments": '
    )


def test_a_plain_template_does_not_describe_tools(tiny_base: BaseModel, tiny_base_plain: BaseModel) -> None:
    assert not tiny_base.describes_tools
    assert not tiny_base_plain.describes_tools


def test_messages_that_a_template_refuses_are_an_input_error(tiny_base: BaseModel) -> None:
    tiny_base.tokenizer.chat_template = CHAT_TEMPLATE + "{{ raise_exception('roles must alternate') }}"
    with pytest.raises(InputError, match=r"refuses these messages \(roles must alternate\); change their roles"):
        tiny_base.encode((Message("user", "x"),))


def test_a_forced_call_begins_before_the_model_writes(tiny_base: BaseModel, tmp_path: Path) -> None:
    llm = scripted(tiny_base, tmp_path, '{"place": "Tarawa"}')
    for choice in ("any", "required", True, "weather", {"type": "function", "function": {"name": "weather"}}):
        (call,) = llm.bind_tools([weather], tool_choice=choice).invoke(ASK).tool_calls  # type: ignore[arg-type]
        assert (call["name"], call["args"]) == ("weather", {"place": "Tarawa"})
        assert prompt_of(llm).begun == '<tool_call>{"name": "weather", "arguments": '
    llm = scripted(tiny_base, tmp_path, '{"name": "convert", "arguments": {"amount": 1, "to": "AUD"}}')
    (call,) = llm.bind_tools([weather, convert], tool_choice="any").invoke(ASK).tool_calls
    assert (call["name"], call["args"]) == ("convert", {"amount": 1, "to": "AUD"})
    assert prompt_of(llm).begun == "<tool_call>"


def test_a_model_without_a_chat_template_calls_tools_too(tiny_base_plain: BaseModel, tmp_path: Path) -> None:
    seal = SelfAdaptingModel(tiny_base_plain, home=tmp_path)
    message = ChatSeal(backend=seal).bind_tools([weather], tool_choice="any").invoke(ASK)
    jsonschema.validate(message.tool_calls[0]["args"], dict(tool_of(weather).schema))


# ---------------------------------------------------------------- what must follow a schema


@pytest.mark.parametrize("temperature", [0.0, 1.5])
def test_forced_calls_always_validate(llm: ChatSeal, seal: SelfAdaptingModel, temperature: float) -> None:
    store(seal, "alice", random_adapter(seal.base, 1))
    for tools in ([Trip], [weather, convert, Question], [Place, weather], [weather]):
        schemas = {known.name: dict(known.schema) for known in map(tool_of, tools)}  # type: ignore[arg-type]
        bound = llm.bind_tools(tools, tool_choice="any", temperature=temperature, max_tokens=400)  # type: ignore[arg-type]
        for adapter in (None, "alice"):
            for seed in range(1 if temperature == 0 else 2):  # at 0 nothing is drawn
                message = bound.invoke(ASK, adapter=adapter, seed=seed)
                (call,) = message.tool_calls
                jsonschema.validate(call["args"], schemas[call["name"]])
                assert message.response_metadata["finish_reason"] == "tool_calls"
                assert message.content == ""


@pytest.mark.parametrize("method", ["json_schema", "function_calling", "json_mode"])
def test_structured_output_comes_as_values_of_the_schema(llm: ChatSeal, method: Any) -> None:
    def out(schema: Any, **kwargs: Any) -> Any:
        return llm.with_structured_output(schema, method=method, max_tokens=400, **kwargs)

    trip = out(Trip).invoke(ASK)
    assert isinstance(trip, Trip)
    assert list(out(Trip).stream(ASK))[-1] == trip
    assert set(out(Question).invoke(ASK)) == {"text", "about"}
    assert set(out(schema_of(Question)).invoke(ASK)) == {"text", "about"}
    both = out(Trip, include_raw=True).invoke(ASK)
    assert both["parsed"] == trip
    assert both["parsing_error"] is None
    assert isinstance(both["raw"], AIMessage)
    cut = llm.with_structured_output(Trip, method=method, include_raw=True, max_tokens=5).invoke(ASK)
    assert cut["parsed"] is None
    assert cut["raw"].response_metadata["finish_reason"] == "length"


def test_the_schema_is_told_by_json_schema_and_not_by_json_mode(tiny_base: BaseModel, tmp_path: Path) -> None:
    llm = scripted(tiny_base, tmp_path, '{"text": "a", "about": "b"}')
    llm.with_structured_output(Question, method="json_mode").invoke(ASK)
    assert prompt_of(llm) == (Message("user", ASK),)
    llm.with_structured_output(Question, method="json_schema").invoke(ASK)
    assert json.dumps(schema_of(Question)) in prompt_of(llm)[0].content


def test_any_json_object_can_be_asked_for(llm: ChatSeal) -> None:
    for out in (
        llm.with_structured_output(None, method="json_mode"),
        llm.bind(response_format={"type": "json_object"}) | (lambda message: json.loads(message.content)),
    ):
        assert isinstance(out.invoke(ASK), dict)
    free = llm.bind(response_format={"type": "text"}, max_tokens=9).invoke(ASK)
    assert free.content == llm.invoke(ASK, max_tokens=9).content


def test_a_schema_beside_tools_allows_a_call_or_the_answer(llm: ChatSeal, tiny_base: BaseModel, tmp_path: Path) -> None:
    asked = {"type": "json_schema", "json_schema": {"name": "Question", "schema": schema_of(Question)}}
    message = llm.bind_tools([weather], response_format=asked).invoke(ASK)
    if not message.tool_calls:
        jsonschema.validate(json.loads(str(message.content)), schema_of(Question))
    for answer, calls in (('{"text": "a", "about": "b"}', 0), ('{"name": "weather", "arguments": {"place": "x"}}', 1)):
        said = scripted(tiny_base, tmp_path, answer).bind_tools([weather], response_format=asked).invoke(ASK)
        assert len(said.tool_calls) == calls
        assert said.content == ("" if calls else answer)


def test_an_agent_s_structured_response_follows_its_schema(llm: ChatSeal) -> None:
    pytest.importorskip("langchain")
    from langchain.agents import create_agent

    agent = create_agent(llm, tools=[], response_format=Question)
    assert set(agent.invoke({"messages": [HumanMessage(ASK)]})["structured_response"]) == {"text", "about"}
    said = llm.bind(response_format=Place, max_tokens=200).invoke(ASK)
    assert isinstance(Place.model_validate_json(str(said.content)), Place)


def test_stop_sequences_do_not_cut_what_follows_a_schema(llm: ChatSeal) -> None:
    call = llm.bind_tools([weather], tool_choice="any").invoke(ASK, stop=['"', "place"]).tool_calls[0]
    jsonschema.validate(call["args"], dict(tool_of(weather).schema))


def test_a_schema_that_cannot_be_held_to_is_an_input_error(llm: ChatSeal) -> None:
    other = {"title": "Odd", "type": "object", "properties": {"a": {"type": "string", "not": {"const": "b"}}}}
    for run in (llm.bind_tools([other], tool_choice="any"), llm.with_structured_output(other)):
        with pytest.raises(InputError, match=r"not.*correct it, or leave it out"):
            run.invoke(ASK)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda llm: llm.bind_tools([weather], tool_choice="wether"), "asks for 'wether', but the tools are weather"),
        (lambda llm: llm.bind_tools([{"type": "web_search"}]), "cannot be a tool here; give a function"),
        (lambda llm: llm.bind_tools([3]), "cannot be a tool here"),
        (lambda llm: llm.with_structured_output(3), "3 is no schema; give a Pydantic class"),
        (lambda llm: llm.with_structured_output(None), "'json_schema' needs a schema"),
        (lambda llm: llm.with_structured_output(Trip, method="magic"), "there is no method 'magic'; use json_schema"),
        (lambda llm: llm.bind(response_format={"type": "xml"}).invoke(ASK), "response_format must be"),
    ],
)
def test_misuse_is_answered_with_the_fix(llm: ChatSeal, wrong: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        wrong(llm)


def test_bounds_end_what_a_schema_leaves_open_and_nothing_else() -> None:
    held = bounded(schema_of(Trip), Bounds(100, 8))
    assert held["$defs"]["Place"]["properties"]["name"]["maxLength"] == 100
    fields = held["$defs"]["Trip"]["properties"] if "Trip" in held["$defs"] else held["properties"]
    assert fields["notes"]["maxItems"] == fields["prices"]["maxProperties"] == 8
    assert fields["days"]["maximum"] == 14
    assert "minimum" not in fields["days"]
    assert "maxLength" not in str(fields["mode"])
    closed = bounded({"type": "object", "properties": {}, "additionalProperties": True}, Bounds(9, 9))
    assert closed["additionalProperties"] is True
    parts = [{"type": "object", "properties": {name: {"type": "integer"}}} for name in "ab"]
    assert all("additionalProperties" not in part for part in bounded({"allOf": parts}, Bounds(9, 9))["allOf"])
    own = {"type": "array", "items": {"type": "string", "maxLength": 3}, "minItems": 9}
    assert bounded(own, Bounds(50, 4))["maxItems"] == 9
    assert bounded(own, Bounds(50, 4))["items"]["maxLength"] == 3


STRING, NUMBER = {"type": "string"}, {"type": "number"}


@pytest.mark.parametrize(
    ("tuple_schema", "items"),
    [
        ({"items": [STRING, NUMBER]}, 2),
        ({"items": [STRING, NUMBER], "additionalItems": False}, 2),
        ({"items": [STRING, NUMBER], "additionalItems": STRING}, 6),
        ({"items": [STRING], "minItems": 3}, 3),
        ({"prefixItems": [STRING, NUMBER]}, 2),
        ({"prefixItems": [STRING, NUMBER], "items": False}, 2),
        ({"prefixItems": [STRING, NUMBER], "items": STRING}, 6),
    ],
)
def test_tuples_of_every_draft_are_bounded(tuple_schema: dict[str, Any], items: int) -> None:
    schema = {"type": "array", **tuple_schema}
    held = bounded(schema, Bounds(7, 4))
    assert held["maxItems"] == items
    first = held["prefixItems"] if "prefixItems" in held else held["items"]
    assert first[0]["maxLength"] == 7
    assert str(held).count("maxLength") == str(schema).count("string")
    assert str(held).count("maximum") == str(schema).count("number")
    assert bounds_for(schema, 40).characters < bounds_for(schema, 4000).characters


def test_a_tuple_of_draft_7_comes_to_an_end_when_decoded(llm: ChatSeal) -> None:
    schema = {
        "title": "pair",
        "type": "object",
        "properties": {"pair": {"type": "array", "items": [STRING, {"type": "integer"}], "minItems": 2}},
        "required": ["pair"],
    }
    answer = llm.with_structured_output(schema).invoke(ASK)
    jsonschema.Draft7Validator(schema).validate(answer)
    assert len(answer["pair"]) == 2


def test_bounds_are_as_wide_as_the_tokens_allow() -> None:
    text: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "string"}}}
    texts: dict[str, Any] = {"type": "array", "items": {"type": "string"}}
    assert bounds_for(text, 5000).characters == 4096
    assert bounds_for(text, 256).characters == 256
    assert bounds_for(text, 1).characters == min(CHARACTERS)
    assert bounds_for(texts, 256) == Bounds(48, 8)
    assert bounds_for(texts, 4000).items == 64


def test_what_holds_itself_ends_at_a_depth() -> None:
    schema = schema_of(Place)
    deepest: Any = None
    for _ in range(3):
        deepest = {"name": "x", "inside": deepest}
        jsonschema.validate(deepest, dict(unrolled(schema)))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"name": "x", "inside": deepest}, dict(unrolled(schema)))
    jsonschema.validate({"name": "x", "inside": deepest}, schema)
    assert unrolled(schema_of(Question)) == schema_of(Question)


def doubling(count: int) -> dict[str, Any]:
    """A schema whose definitions use the one before twice: 2 ** count texts lie in the last."""
    definitions: dict[str, Any] = {"a0": {"type": "string"}}
    for i in range(1, count):
        before = {"$ref": f"#/$defs/a{i - 1}"}
        definitions[f"a{i}"] = {"type": "object", "properties": {"x": before, "y": before}}
    return {"$ref": f"#/$defs/a{count - 1}", "$defs": definitions}


def test_definitions_that_use_others_twice_are_looked_at_once() -> None:
    assert bounds_for(doubling(4), 1000).characters == 128
    started = time.perf_counter()
    grammar = grammar_of([doubling(41)], 100)
    assert time.perf_counter() - started < 5
    assert json.loads(grammar.text)["$defs"]["a0"]["maxLength"] == min(CHARACTERS)


def test_definitions_that_lead_back_to_themselves_are_found() -> None:
    arrows = {"a": "b", "b": "cd", "c": "a", "d": "e", "e": "fe", "f": "gx", "g": "", "h": "a", "i": "jj", "j": "i"}
    refs = {name: [{"$ref": f"#/$defs/{target}"} for target in targets] for name, targets in arrows.items()}
    schema = {"$defs": {name: {"anyOf": parts} for name, parts in refs.items()}}
    assert recursive_refs(schema) == {f"#/$defs/{name}" for name in "abceij"}


def test_too_many_definitions_are_refused_in_a_sentence() -> None:
    definitions = {str(i): {"type": "null"} for i in range(MAX_DEFINITIONS + 1)}
    with pytest.raises(InputError, match=r"\Athe JSON schema has 513 definitions, but at most 512 are taken; leave"):
        grammar_of([{"type": "null", "$defs": definitions}], 100)


def test_references_survive_the_company_of_other_schemas(llm: ChatSeal) -> None:
    recursive = schema_of(Place)
    assert "$defs" in recursive
    both = any_of([recursive, schema_of(Question)])
    for value in ({"name": "Tarawa", "inside": {"name": "Kiribati", "inside": None}}, {"text": "a", "about": "b"}):
        jsonschema.validate(value, both)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"name": "Tarawa", "inside": {"name": 1}}, both)


# ---------------------------------------------------------------- reading


def read(form: Form, pieces: Sequence[str]) -> list[Part]:
    reader = Reader(form)
    return [*(part for piece in pieces for part in reader.feed(piece)), *reader.end()]


def summary(parts: Sequence[Part]) -> list[Any]:
    """Text joined, calls as name and arguments, in order."""
    out: list[Any] = []
    for part in parts:
        if isinstance(part, str) and out and isinstance(out[-1], str):
            out[-1] += part
        elif isinstance(part, CallPiece):
            out.append((part.name, json.loads(part.arguments)))
        else:
            out.append(part if isinstance(part, str) else (None, part.text))
    return out


TWO = (
    '<tool_call>{"name": "weather", "arguments": {"place": "Tarawa"}}</tool_call>\n'
    '<tool_call>\n{"name": "weather", "arguments": {"place": "Betio"}}\n</tool_call>'
)
TARAWA, BETIO = ("weather", {"place": "Tarawa"}), ("weather", {"place": "Betio"})
ANSWERS: dict[str, list[Any]] = {
    "Sunny, I think. ": ["Sunny, I think. "],
    "1 < 2, <tool and <<tool_ca": ["1 < 2, <tool and <<tool_ca"],
    TWO: [TARAWA, BETIO],
    "I look it up.\n" + TWO: ["I look it up.", TARAWA, BETIO],
    TWO + "\n<tool_response>rain</tool_response> It rains.": [TARAWA, BETIO],
    '{"name": "weather", "arguments": {"place": "Tarawa"}}': [TARAWA],
    '\n[{"name": "weather", "parameters": {"place": "Tarawa"}},'
    '\n {"name": "weather", "arguments": {"place": "Betio"}}]': [TARAWA, BETIO],
    '<tool_call>[{"name": "weather", "arguments": "{\\"place\\": \\"Tarawa\\"}"}]</tool_call>': [TARAWA],
    '<tool_call>{"name": "weather"}': [("weather", {})],
    '<tool_call>{"name": "other", "arguments": {}}</tool_call>': [("other", {})],
    '{"name": "other", "arguments": {}}': ['{"name": "other", "arguments": {}}'],
    '{"place": "Tarawa"}': ['{"place": "Tarawa"}'],
    "{not JSON": ["{not JSON"],
    '<tool_call>{"name": "weather", "arg': [(None, '<tool_call>{"name": "weather", "arg')],
    "<tool_call>weather(Tarawa)</tool_call>": [(None, "<tool_call>weather(Tarawa)")],
    '<tool_call>{"name": "weather", "place": "Tarawa"}</tool_call>': [
        (None, '<tool_call>{"name": "weather", "place": "Tarawa"}')
    ],
    "<tool_call>3</tool_call>" + TWO: [(None, "<tool_call>3"), TARAWA, BETIO],
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_answers_are_read_alike_whole_and_by_the_character(answer: str) -> None:
    form = form_of([weather])
    assert summary(read(form, [answer])) == ANSWERS[answer]
    assert summary(read(form, list(answer))) == ANSWERS[answer]


@given(st.sampled_from(sorted(ANSWERS)), st.lists(st.integers(0, 90), max_size=6))
def test_where_an_answer_is_cut_into_pieces_does_not_matter(answer: str, cuts: list[int]) -> None:
    edges = sorted({0, *cuts, len(answer)})
    pieces = [answer[a:b] for a, b in pairwise(edges)]
    assert summary(read(form_of([weather]), pieces)) == ANSWERS[answer]


def test_text_streams_at_once_where_no_tool_may_be_called() -> None:
    reader = Reader(form_of([]))
    assert [list(reader.feed(piece)) for piece in ("{", "<tool_call>", " ")] == [["{"], ["<tool_call>"], [" "]]


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("version", ["v0", "v1"])
def test_messages_and_streams_tell_the_same(tiny_base: BaseModel, tmp_path: Path, answer: str, version: str) -> None:
    llm = scripted(tiny_base, tmp_path, answer)
    llm.output_version = version
    bound = llm.bind_tools([weather])
    first, *rest = bound.stream(ASK)
    whole, message = first + rest, bound.invoke(ASK)
    assert whole.text == message.text

    def calls(said: AIMessage) -> list[Any]:
        return [(call["name"], call["args"]) for call in said.tool_calls]

    assert calls(whole) == calls(message) == [part for part in ANSWERS[answer] if isinstance(part, tuple) and part[0]]
    assert [c["args"] for c in whole.invalid_tool_calls] == [c["args"] for c in message.invalid_tool_calls]
    ids = [call["id"] for call in (*message.tool_calls, *message.invalid_tool_calls)]
    assert len(set(ids)) == len(ids)
    assert [b["type"] for b in whole.content_blocks if b["type"] == "tool_call"] == ["tool_call"] * len(
        whole.tool_calls
    )


def test_forced_arguments_stream_as_they_are_written(llm: ChatSeal) -> None:
    bound = llm.bind_tools([weather], tool_choice="any")
    chunks = [chunk for chunk in bound.stream(ASK) if chunk.tool_call_chunks]
    assert len(chunks) > 3
    assert [chunk.tool_call_chunks[0]["name"] for chunk in chunks] == ["weather", *[None] * (len(chunks) - 1)]
    whole = chunks[0] + chunks[1:]
    assert whole.tool_calls[0]["args"] == bound.invoke(ASK).tool_calls[0]["args"]


@pytest.mark.filterwarnings("ignore::langchain_core._api.beta_decorator.LangChainBetaWarning")
def test_calls_come_through_event_streams(llm: ChatSeal) -> None:
    bound = llm.bind_tools([weather], tool_choice="any")
    out = bound.stream_events(ASK, version="v3").output  # type: ignore[attr-defined]
    assert out.tool_calls[0]["args"] == bound.invoke(ASK).tool_calls[0]["args"]


def test_broken_calls_stand_in_the_history_as_they_were_written(tiny_base: BaseModel, tmp_path: Path) -> None:
    llm = scripted(tiny_base, tmp_path, "<tool_call>oops</tool_call>")
    broken = llm.bind_tools([weather]).invoke(ASK)
    assert broken.invalid_tool_calls[0]["error"] is not None
    llm.invoke([HumanMessage(ASK), broken, HumanMessage("Again.")])
    assert prompt_of(llm)[1] == Message("assistant", "<tool_call>oops")
