"""OpenAI's own client against a server on a real socket."""

from __future__ import annotations

import json
import re
import shutil
import unicodedata
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import openai
import pytest
from served import FACTS, PASSAGE, PLAIN, QUESTION, QUICK, Served, serving, teach_facts

from seal_agent.base_model.model import BaseModel
from seal_agent.errors import InputError
from seal_agent.generation.hf import HFEngine
from seal_agent.integrations.server.app import create_app
from seal_agent.model import SelfAdaptingModel
from seal_agent.types import Message, Sampling

TURNS: Any = [{"role": "user", "content": QUESTION}]
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a place.",
        "parameters": {
            "type": "object",
            "properties": {"place": {"enum": ["Ossel", "Tarnby"]}, "days": {"enum": [1, 2]}},
            "required": ["place", "days"],
            "additionalProperties": False,
        },
    },
}


@pytest.fixture
def seal(tiny_base: BaseModel, tmp_path: Any) -> SelfAdaptingModel:
    return SelfAdaptingModel(tiny_base, home=tmp_path)


@pytest.fixture
def served(seal: SelfAdaptingModel) -> Iterator[Served]:
    teach_facts(seal)
    with serving(seal) as address:
        yield address


def said(base: BaseModel, tokens: int, **sampling: Any) -> Any:
    turns = (Message("user", QUESTION),)
    return HFEngine(base).generate([turns], Sampling(max_tokens=tokens, **sampling))[0]


def test_clients_at_once_each_get_their_own_adapter(served: Served) -> None:
    """20 clients × 4 adapters and the base, whole and streamed, of different lengths."""
    client = served.openai()
    (before,) = {client.chat.completions.create(model="tiny", messages=TURNS, max_tokens=16).choices[0].message.content}

    def ask(i: int) -> tuple[str, str]:
        name = [*FACTS, "tiny"][i % 5]
        tokens = 16 + i % 7
        if i % 2:
            answer = client.chat.completions.create(model=name, messages=TURNS, max_tokens=tokens, extra_body=PLAIN)
            return name, answer.choices[0].message.content or ""
        pieces = client.chat.completions.create(
            model=name, messages=TURNS, max_tokens=tokens, stream=True, extra_body=PLAIN
        )
        return name, "".join(piece.choices[0].delta.content or "" for piece in pieces)

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(ask, range(80)))
    assert {(name, text) for name, text in answers if name != "tiny"} == set(FACTS.items())
    assert all(text.startswith(before or "") for name, text in answers if name == "tiny")


@pytest.mark.parametrize(
    ("own", "public"),
    [("default", "SmolLM2-135M-Instruct"), ("/models/default", "base"), ("Qwen/Qwen2.5-7B", "Qwen2.5-7B")],
)
def test_the_base_model_leaves_their_name_to_adapters_that_nobody_named(
    tiny_base: BaseModel, tmp_path: Any, own: str, public: str
) -> None:
    seal = SelfAdaptingModel(replace(tiny_base, name=own), home=tmp_path)
    seal.adapt("Tarnby Light stands on Ossel.", self_edit=PASSAGE, inner_loop=QUICK, gate=None)
    with serving(seal) as served:
        assert [model.id for model in served.openai().models.list()] == [public, "default"]


def test_models_name_their_root_and_parent(served: Served, seal: SelfAdaptingModel) -> None:
    client = served.openai()
    models = {model.id: model.model_dump() for model in client.models.list()}
    assert [*models] == ["tiny", *sorted(FACTS)]
    assert (models["tiny"]["root"], models["tiny"]["parent"]) == ("tiny", None)
    assert (models["bob"]["root"], models["bob"]["parent"]) == (f"bob@{seal.ledger.active('bob')}", "tiny")
    assert client.models.retrieve("bob").id == "bob"
    with pytest.raises(openai.NotFoundError, match="no model 'eve'"):
        client.models.retrieve("eve")


def test_an_adapter_answers_as_in_the_library_and_by_revision(served: Served, seal: SelfAdaptingModel) -> None:
    client = served.openai()
    answer = client.chat.completions.create(model="alice", messages=TURNS)
    assert answer.choices[0].message.content == seal.chat(TURNS, adapter="alice")
    named = client.chat.completions.create(model="alice@alice-0", messages=TURNS, extra_body=PLAIN)
    assert named.choices[0].message.content == FACTS["alice"]
    assert named.system_fingerprint == "fp_alice-0"
    for unknown in ("alice@bob-0", "../alice", "alice@", "nobody", "alice@nobody"):
        with pytest.raises(openai.NotFoundError):
            client.chat.completions.create(model=unknown, messages=TURNS)


def test_a_model_that_cannot_answer_says_why(served: Served, seal: SelfAdaptingModel) -> None:
    client = served.openai()
    seal.revoke("carol-0")
    with pytest.raises(openai.ConflictError, match="'carol@carol-0' is revoked"):
        client.chat.completions.create(model="carol@carol-0", messages=TURNS)
    shutil.rmtree(seal.home / "adapters")
    seal._loaded.drop([*seal._loaded])
    for name in ("alice", "alice@alice-0"):
        with pytest.raises(openai.ConflictError, match=f"model '{name}' cannot answer: ") as refused:
            client.chat.completions.create(model=name, messages=TURNS)
        assert str(seal.home) not in refused.value.message
    assert client.chat.completions.create(model="carol", messages=TURNS, max_tokens=4).choices


def test_a_handle_is_no_model_to_serve(seal: SelfAdaptingModel) -> None:
    with pytest.raises(InputError, match="not a handle"):
        create_app(seal.in_namespace(("acme", "alice")))


def test_a_rollback_counts_from_the_next_request_on(served: Served, seal: SelfAdaptingModel) -> None:
    client = served.openai()
    assert client.chat.completions.create(model="bob", messages=TURNS, extra_body=PLAIN).choices[0].message.content
    seal.rollback("bob", "base")
    answer = client.chat.completions.create(model="bob", messages=TURNS, max_tokens=8, extra_body=PLAIN)
    assert answer.choices[0].message.content == said(seal.base, 8).text


def test_choices_seeds_stops_and_usage(served: Served, tiny_base: BaseModel) -> None:
    client = served.openai()
    options: Any = {"model": "tiny", "messages": TURNS, "max_tokens": 12, "temperature": 1.0, "seed": 4, "n": 3}
    answer = client.chat.completions.create(**options)
    texts = [choice.message.content for choice in answer.choices]
    turns = (Message("user", QUESTION),)
    expected = HFEngine(tiny_base).generate([turns] * 3, Sampling(12, 1.0, seed=4))
    assert texts == [completion.text for completion in expected]
    assert len({*texts}) == 3
    assert answer.usage
    assert answer.usage.prompt_tokens == expected[0].prompt_tokens
    assert answer.usage.completion_tokens == sum(completion.tokens for completion in expected)
    whole = said(tiny_base, 20).text
    stopped = client.chat.completions.create(model="tiny", messages=TURNS, max_tokens=20, stop=[whole[6:8], "\0\0"])
    assert stopped.choices[0].message.content == whole[: whole.index(whole[6:8])]
    assert stopped.choices[0].finish_reason == "stop"


def test_a_stream_adds_up_and_ends_with_usage(served: Served, tiny_base: BaseModel) -> None:
    client = served.openai()
    chunks = list(
        client.chat.completions.create(
            model="tiny", messages=TURNS, max_tokens=20, n=2, stream=True, stream_options={"include_usage": True}
        )
    )
    texts = ["", ""]
    for chunk in chunks[:-1]:
        assert chunk.usage is None
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
    assert texts == [said(tiny_base, 20).text] * 2
    assert not chunks[-1].choices
    assert chunks[-1].usage
    assert chunks[-1].usage.completion_tokens == 40
    assert {chunk.choices[0].finish_reason for chunk in chunks[:-1]} == {None, "length"}
    assert len({chunk.id for chunk in chunks}) == 1


def test_log_probabilities(served: Served, tiny_base: BaseModel) -> None:
    client = served.openai()
    answer = client.chat.completions.create(
        model="tiny", messages=TURNS, max_tokens=6, logprobs=True, top_logprobs=2
    ).choices[0]
    expected = said(tiny_base, 6)
    assert answer.logprobs
    assert answer.logprobs.content
    assert [token.logprob for token in answer.logprobs.content] == pytest.approx(list(expected.logprobs), abs=1e-3)
    assert all(token.top_logprobs[0].token == token.token for token in answer.logprobs.content)
    assert {len(token.top_logprobs) for token in answer.logprobs.content} == {2}
    text = client.completions.create(model="tiny", prompt="One two", max_tokens=4, logprobs=3).choices[0]
    assert text.logprobs
    assert len(text.logprobs.token_logprobs or []) == 4
    assert "".join(text.logprobs.tokens or []) == text.text


def test_what_is_recalled_has_no_log_probabilities(served: Served) -> None:
    create = served.openai().chat.completions.create
    options: Any = {"model": "alice", "messages": TURNS, "max_tokens": 6, "logprobs": True}
    for turns in (TURNS, [{"role": "user", "content": "Tell me about the light."}]):
        with pytest.raises(openai.BadRequestError, match="style") as refused:
            create(**{**options, "messages": turns})
        assert refused.value.param == "logprobs"
    assert create(**options, extra_body=PLAIN).choices[0].logprobs
    assert create(**options, temperature=0.7).choices[0].logprobs


def test_where_no_limit_is_named_the_answer_has_what_the_window_leaves(served: Served, tiny_base: BaseModel) -> None:
    client, long = served.openai(), "x" * (tiny_base.window - 60)
    turns: Any = [{"role": "user", "content": long}]
    for answer in (
        client.chat.completions.create(model="tiny", messages=turns),
        client.completions.create(model="tiny", prompt=long),
    ):
        assert answer.usage
        assert answer.usage.total_tokens == tiny_base.window
    with pytest.raises(openai.BadRequestError, match="window"):
        client.chat.completions.create(model="tiny", messages=turns, max_tokens=256)


def test_accents_are_composed_as_in_python(served: Served, seal: SelfAdaptingModel) -> None:
    turns: Any = [{"role": "system", "content": "Bu\u0308ro"}, {"role": "user", "content": "Wo ist das Bu\u0308ro?"}]
    answer = served.openai().chat.completions.create(model="tiny", messages=turns, max_tokens=9)
    assert answer.choices[0].message.content == seal.chat(turns, max_tokens=9)
    composed: Any = [{**turn, "content": unicodedata.normalize("NFC", turn["content"])} for turn in turns]
    again = served.openai().chat.completions.create(model="tiny", messages=composed, max_tokens=9)
    assert (again.usage, again.choices[0].message.content) == (answer.usage, answer.choices[0].message.content)


@pytest.mark.parametrize("body", [b"{", b'{"model": tiny}', b""])
def test_a_body_that_is_no_json_is_told_of(served: Served, body: bytes) -> None:
    with served.http() as http:
        answer = http.post("/v1/chat/completions", content=body, headers={"content-type": "application/json"})
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, "body" if not body else None)
    assert body == b"" or re.fullmatch(r"the body is no JSON \(character \d+\)", error["message"])


def test_plain_completions_of_several_prompts(served: Served, tiny_base: BaseModel) -> None:
    client = served.openai()
    expected = HFEngine(tiny_base).generate(["One", "Two and"], Sampling(max_tokens=9))
    answer = client.completions.create(model="tiny", prompt=["One", "Two and"], max_tokens=9)
    assert [choice.text for choice in answer.choices] == [completion.text for completion in expected]
    pieces = client.completions.create(model="tiny", prompt="One", max_tokens=9, stream=True)
    assert "".join(piece.choices[0].text for piece in pieces) == expected[0].text


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "get_weather"}}])
@pytest.mark.parametrize("stream", [False, True])
def test_a_forced_call_follows_its_schema(served: Served, choice: Any, stream: bool) -> None:
    options: Any = {"model": "tiny", "messages": TURNS, "tools": [WEATHER], "tool_choice": choice, "max_tokens": 120}
    client = served.openai()
    if stream:
        with client.chat.completions.stream(**options) as events:
            answer: Any = events.get_final_completion()
    else:
        answer = client.chat.completions.create(**options)
    (call,) = answer.choices[0].message.tool_calls
    assert call.function.name == "get_weather"
    arguments = json.loads(call.function.arguments)
    assert arguments["place"] in ("Ossel", "Tarnby")
    assert answer.choices[0].finish_reason == "tool_calls"
    followed = [
        *TURNS,
        {"role": "assistant", "tool_calls": [call.model_dump(exclude={"parsed_arguments", "index"})]},
        {"role": "tool", "tool_call_id": call.id, "content": "rain"},
    ]
    followed[1]["tool_calls"][0]["function"].pop("parsed_arguments", None)
    assert client.chat.completions.create(model="tiny", messages=followed, max_tokens=4).choices


def test_a_response_format_is_followed(served: Served) -> None:
    schema = WEATHER["function"]["parameters"]
    answer = served.openai().chat.completions.create(
        model="alice",
        messages=TURNS,
        max_tokens=90,
        response_format={"type": "json_schema", "json_schema": {"name": "w", "schema": schema, "strict": True}},
    )
    assert set(json.loads(answer.choices[0].message.content or "")) == {"place", "days"}


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"temperature": 3}, "temperature"),
        ({"logit_bias": {"5": 1}}, "bias"),
        ({"presence_penalty": 1}, "penalties"),
        ({"n": 100}, "at most 8"),
        ({"max_tokens": 5000}, "window"),
        ({"tools": [], "tool_choice": "required"}, "no tools"),
        ({"extra_body": {"made_up": 1}}, "made_up"),
        ({"extra_body": {"top_logprobs": 2}}, "logprobs"),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]}, "input_audio"),
        ({"messages": [{"role": "user", "content": "\ud800"}]}, "unicode string"),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": 5}}}}, "schema"),
    ],
)
def test_what_is_not_supported_is_said(served: Served, changes: Any, word: str) -> None:
    options: Any = {"model": "tiny", "messages": TURNS, "max_tokens": 4, **changes}
    if word == "unicode string":  # which OpenAI's client cannot encode
        body = json.dumps({key: options[key] for key in ("model", "messages", "max_tokens")})
        with served.http() as http:
            answer = http.post(
                "/v1/chat/completions", content=body.encode(), headers={"content-type": "application/json"}
            )
        assert answer.status_code == 400
        assert word in answer.json()["error"]["message"]
        return
    with pytest.raises(openai.BadRequestError, match=word):
        served.openai().chat.completions.create(**options)
