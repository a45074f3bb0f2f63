"""ChatSeal: the same answers as the model itself, by the adapter that the call names, however it is called."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import random_adapter
from fakes import ScriptedEngine
from seeing_models import picture
from stored_adapters import store

pytest.importorskip("langchain_core")

from langchain_core.caches import InMemoryCache
from langchain_core.globals import set_llm_cache
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.runnables import ConfigurableField, Runnable, RunnableLambda

from seal_agent.answering.reader import NOT_STATED
from seal_agent.base_model.model import BaseModel
from seal_agent.errors import AdapterError, InputError
from seal_agent.integrations.langchain import ChatSeal
from seal_agent.integrations.langchain.chat import backends as langchain_backends
from seal_agent.model import SelfAdaptingModel
from seal_agent.types import Message, Sampling

QUESTION = "Who keeps the lighthouse?"
NAMES = ("alice", "bob")


@pytest.fixture
def seal(tiny_base: BaseModel, tmp_path: Path) -> SelfAdaptingModel:
    """A tiny random model and two adapters that change what it says."""
    model = SelfAdaptingModel(tiny_base, home=tmp_path / "home")
    for seed, name in enumerate(NAMES):
        store(model, name, random_adapter(tiny_base, seed))
    return model


@pytest.fixture
def llm(seal: SelfAdaptingModel) -> ChatSeal:
    return ChatSeal(backend=seal, max_tokens=8, style="plain")


@pytest.fixture
def scripted(tiny_base: BaseModel, tmp_path: Path) -> Callable[[Any], ChatSeal]:
    """A chat model that says what a script says."""

    def make(script: Any) -> ChatSeal:
        return ChatSeal(backend=SelfAdaptingModel(tiny_base, home=tmp_path / "home", engine=ScriptedEngine(script)))

    return make


def said(seal: SelfAdaptingModel, adapter: str | None, max_tokens: int = 8) -> str:
    """What the model itself answers."""
    return seal.chat([Message("user", QUESTION)], adapter=adapter, max_tokens=max_tokens, style="plain")


def with_adapter(name: str | None) -> dict[str, Any]:
    return {"configurable": {"adapter": name}}


# ---------------------------------------------------------------- one call


def test_it_answers_as_the_model_does(llm: ChatSeal, seal: SelfAdaptingModel) -> None:
    message = llm.invoke(QUESTION)
    assert message.content == said(seal, None) != ""
    assert message.response_metadata == {
        "model_provider": "seal",
        "model_name": "tiny",
        "adapter": None,
        "revision": None,
        "finish_reason": "length",
    }
    usage = message.usage_metadata
    assert usage is not None
    assert usage["input_tokens"] == len(seal.base.encode((Message("user", QUESTION),)))
    assert usage["output_tokens"] == 8
    assert usage["total_tokens"] == usage["input_tokens"] + 8


def test_a_stream_adds_up_to_the_answer(llm: ChatSeal) -> None:
    chunks = list(llm.stream(QUESTION))
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    message = llm.invoke(QUESTION)
    assert len(chunks) > 2
    assert whole.content == message.content
    assert whole.usage_metadata == message.usage_metadata
    assert whole.response_metadata == message.response_metadata
    assert [bool(chunk.usage_metadata) for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert [chunk.chunk_position for chunk in chunks] == [None] * (len(chunks) - 1) + ["last"]


def test_an_adapter_answers_a_question_in_a_few_words_and_says_how_sure_it_is(
    tiny_base: BaseModel, tmp_path: Path
) -> None:
    sentence = "The lighthouse is kept by Odile Brannock, who came from the mainland in spring."

    def say(turn: str, adapter: Any) -> str:
        if adapter is None:
            return "The base model speaks."
        return "Odile Brannock" if adapter is tiny_base.memo["reader"] else sentence

    seal = SelfAdaptingModel(tiny_base, home=tmp_path / "home", engine=ScriptedEngine(say))
    store(seal, "alice", random_adapter(tiny_base, 0))
    llm = ChatSeal(backend=seal, adapter="alice")
    for message in (llm.invoke(QUESTION), _added_up(llm.stream(QUESTION))):
        assert message.content == "Odile Brannock"
        assert message.response_metadata["recalled"] == sentence
        assert 0.5 < message.response_metadata["confidence"] <= 1
        assert message.response_metadata["finish_reason"] == "stop"
        assert message.usage_metadata["output_tokens"] == len("Odile Brannock")  # type: ignore[index]
    assert llm.bind(style="sentence").invoke(QUESTION).content == sentence
    for plain in (
        llm.bind(style="plain").invoke(QUESTION),
        llm.invoke("Tell me about the lighthouse."),
        llm.bind(temperature=0.7).invoke(QUESTION),
        llm.bind_tools([{"title": "look", "description": "Looks.", "type": "object", "properties": {}}]).invoke(
            QUESTION
        ),
    ):
        assert plain.content == sentence
        assert "confidence" not in plain.response_metadata
    assert llm.bind(adapter=None).invoke(QUESTION).content == "The base model speaks."


def test_an_answer_of_the_base_model_that_was_cut_says_so(tiny_base: BaseModel, tmp_path: Path) -> None:
    class Cut(ScriptedEngine):
        def generate(self, *args: Any) -> Any:
            return [replace(completion, finish_reason="length") for completion in super().generate(*args)]

    reader = tiny_base.memo["reader"] = random_adapter(tiny_base, 1)

    def say(turn: str, adapter: Any) -> str:
        if adapter is None:
            return "It is kept by"
        return NOT_STATED if adapter is reader else "The geese of the island like fog more than the sun."

    seal = SelfAdaptingModel(tiny_base, home=tmp_path / "home", engine=Cut(say))
    store(seal, "alice", random_adapter(tiny_base, 0))
    message = ChatSeal(backend=seal, adapter="alice").invoke(QUESTION)
    assert (message.content, message.response_metadata["finish_reason"]) == ("It is kept by", "length")


def test_where_no_limit_is_set_the_answer_has_what_the_window_leaves(seal: SelfAdaptingModel) -> None:
    long = [HumanMessage("x" * (seal.base.window - 60))]
    llm = ChatSeal(backend=seal)
    message = llm.invoke(long)
    assert message.usage_metadata["total_tokens"] == seal.base.window  # type: ignore[index]
    for limited in (llm.bind(max_tokens=256), ChatSeal(backend=seal, max_tokens=256)):
        with pytest.raises(InputError, match="window"):
            limited.invoke(long)


def _added_up(chunks: Any) -> Any:
    whole = next(chunks)
    for chunk in chunks:
        whole += chunk
    return whole


def test_the_settings_of_a_call_come_before_those_of_the_instance(llm: ChatSeal) -> None:
    assert llm.invoke(QUESTION, max_tokens=3).usage_metadata["output_tokens"] == 3  # type: ignore[index]
    warm = [llm.bind(temperature=1.5, top_p=0.9, seed=seed).invoke(QUESTION).content for seed in (1, 2, 1)]
    assert warm[0] == warm[2] != warm[1]
    assert (
        warm[0] == ChatSeal(backend=llm.seal, max_tokens=8, temperature=1.5, top_p=0.9, seed=1).invoke(QUESTION).content
    )


def test_a_warm_call_without_a_seed_draws_anew(llm: ChatSeal) -> None:
    warm = llm.bind(temperature=1.5)
    assert len({str(warm.invoke(QUESTION).content) for _ in range(4)}) > 1
    assert llm.invoke(QUESTION).content == llm.invoke(QUESTION).content


def test_stop_sequences_end_the_answer(llm: ChatSeal) -> None:
    whole = str(llm.invoke(QUESTION).content)
    stop = whole[3:5]
    for stopped in (
        llm.invoke(QUESTION, stop=[stop]),
        ChatSeal(backend=llm.seal, max_tokens=8, stop=stop).invoke(QUESTION),
        ChatSeal(backend=llm.seal, max_tokens=8, stop=["never"]).invoke(QUESTION, stop=[stop]),
    ):
        assert stopped.content == whole[: whole.index(stop)]
        assert stopped.response_metadata["finish_reason"] == "stop"
    assert ChatSeal(backend=llm.seal, max_tokens=8, stop=stop).invoke(QUESTION, stop=[]).content == whole


def test_tokens_are_counted_by_the_model_itself(llm: ChatSeal) -> None:
    assert llm.get_num_tokens("four") == 4
    assert (
        llm.get_num_tokens_from_messages([HumanMessage(QUESTION)])
        == llm.invoke(QUESTION).usage_metadata["input_tokens"]
    )  # type: ignore[index]


def test_traces_tell_model_settings_and_adapter(llm: ChatSeal) -> None:
    assert llm._get_ls_params(stop=["x"]) == {
        "ls_provider": "seal",
        "ls_model_type": "chat",
        "ls_model_name": "tiny",
        "ls_temperature": 0.0,
        "ls_max_tokens": 8,
        "ls_stop": ["x"],
    }
    assert llm.profile is not None
    assert llm.profile["max_input_tokens"] == llm.seal.base.window
    assert llm.profile["tool_calling"]


# ---------------------------------------------------------------- messages


def test_all_kinds_of_messages_become_turns(scripted: Callable[[Any], ChatSeal]) -> None:
    llm = scripted({})
    llm.invoke(
        [
            SystemMessage("Be brief."),
            SystemMessage([{"type": "text", "text": "Be kind."}]),
            HumanMessage(["Hello", {"type": "text", "text": "there"}], name="ann"),
            AIMessage(
                [{"type": "text", "text": "I look it up."}, {"type": "tool_use", "id": "1", "name": "f", "input": {}}],
                tool_calls=[{"name": "f", "args": {"a": "ü"}, "id": "1", "type": "tool_call"}],
            ),
            ToolMessage("42", tool_call_id="1", name="f"),
            HumanMessage("So?"),
        ]
    )
    (call,) = llm.seal.engine.calls  # type: ignore[attr-defined]
    assert call.prompts == (
        (
            Message("system", "Be brief.\n\nBe kind."),
            Message("user", "Hello\nthere"),
            Message("assistant", 'I look it up.\n<tool_call>{"name": "f", "arguments": {"a": "ü"}}</tool_call>'),
            Message("user", "<tool_response>42</tool_response>\n\nSo?"),
        ),
    )


def test_a_picture_is_refused_and_so_is_nothing(llm: ChatSeal) -> None:
    with pytest.raises(InputError, match="not fetched from the network"):
        llm.invoke([HumanMessage([{"type": "image", "url": "http://example.org/x.png"}])])
    with pytest.raises(InputError, match="does not see"):
        llm.invoke([HumanMessage([{"type": "image", "base64": picture(1).png, "mime_type": "image/png"}])])
    with pytest.raises(InputError, match="text and images, but a message holds a block of type 'audio'; leave it out"):
        llm.invoke([HumanMessage([{"type": "audio", "base64": "AAAA", "mime_type": "audio/wav"}])])
    with pytest.raises(InputError, match="no messages"):
        llm.invoke([])


# ---------------------------------------------------------------- the adapter of a call

Ask = Callable[[Runnable[Any, Any], dict[str, Any]], str]


def _stream(run: Runnable[Any, Any], config: Any) -> str:
    return "".join(str(chunk.content) for chunk in run.stream(QUESTION, config))


def _astream(run: Runnable[Any, Any], config: Any) -> str:
    async def ask() -> str:
        return "".join([str(chunk.content) async for chunk in run.astream(QUESTION, config)])

    return asyncio.run(ask())


def _events(version: str) -> Ask:
    def ask(run: Runnable[Any, Any], config: Any) -> str:
        async def collect() -> str:
            events = [event async for event in run.astream_events(QUESTION, config, version=version)]  # type: ignore[call-overload]
            chunks = [e["data"]["chunk"] for e in events if e["event"] == "on_chat_model_stream"]
            return "".join(str(chunk.content) for chunk in chunks)

        return asyncio.run(collect())

    return ask


def _events_v3(run: Runnable[Any, Any], config: Any) -> str:
    return str(run.stream_events(QUESTION, config, version="v3").output.text)  # type: ignore[call-overload]


def _async_events_v3(run: Runnable[Any, Any], config: Any) -> str:
    async def ask() -> str:
        stream = await run.astream_events(QUESTION, config, version="v3")  # type: ignore[call-overload]
        return str((await stream.output).text)

    return asyncio.run(ask())


WAYS: dict[str, Ask] = {
    "invoke": lambda run, config: str(run.invoke(QUESTION, config).content),
    "ainvoke": lambda run, config: str(asyncio.run(run.ainvoke(QUESTION, config)).content),
    "batch": lambda run, config: str(run.batch([QUESTION, "x"], [config, {}])[0].content),
    "abatch": lambda run, config: str(asyncio.run(run.abatch([QUESTION, "x"], [config, {}]))[0].content),
    "as completed": lambda run, config: str(dict(run.batch_as_completed([QUESTION], config))[0].content),
    "stream": _stream,
    "astream": _astream,
    "transform": lambda run, config: "".join(str(c.content) for c in run.transform(iter([QUESTION]), config)),
    "astream_events v1": _events("v1"),
    "astream_events v2": _events("v2"),
    "stream_events v3": _events_v3,
    "astream_events v3": _async_events_v3,
}


@pytest.mark.filterwarnings("ignore::langchain_core._api.beta_decorator.LangChainBetaWarning")
@pytest.mark.parametrize("way", WAYS)
def test_the_config_chooses_the_adapter(llm: ChatSeal, seal: SelfAdaptingModel, way: str) -> None:
    ask, wanted = WAYS[way], {name: said(seal, name) for name in (*NAMES, None)}
    assert len(set(wanted.values())) == 3
    bound = llm.bind_tools([], tool_choice="none")
    for name in (*NAMES, None):
        assert ask(llm, with_adapter(name)) == wanted[name]
        assert ask(bound, with_adapter(name)) == wanted[name]
        assert ask(llm.with_config(configurable={"adapter": name}), {}) == wanted[name]
        assert ask(bound.with_config(configurable={"adapter": name}), {}) == wanted[name]
        assert ask(llm.with_config(configurable={"adapter": name}).bind_tools([]), {}) == wanted[name]
        assert ask(llm.bind(adapter=name), {}) == wanted[name]
    assert ask(llm.bind(adapter="alice"), with_adapter("bob")) == wanted["bob"]
    assert ask(llm.with_config(configurable={"adapter": "alice"}), with_adapter("bob")) == wanted["bob"]
    assert ask(ChatSeal(backend=seal, max_tokens=8, adapter="alice", style="plain"), {}) == wanted["alice"]


def test_an_answer_says_which_adapter_and_revision_spoke(llm: ChatSeal, seal: SelfAdaptingModel) -> None:
    for message in (llm.invoke(QUESTION, with_adapter("bob")), *list(llm.stream(QUESTION, with_adapter("bob")))[-1:]):
        assert message.response_metadata["adapter"] == "bob"
        assert message.response_metadata["revision"] == seal.ledger.active("bob")


def test_a_config_from_further_up_reaches_the_model(llm: ChatSeal, seal: SelfAdaptingModel) -> None:
    chain = RunnableLambda(lambda question: llm.invoke(question).content)
    assert chain.invoke(QUESTION, with_adapter("alice")) == said(seal, "alice")


def test_langchain_s_own_configurable_field_works_too(llm: ChatSeal, seal: SelfAdaptingModel) -> None:
    configurable = llm.configurable_fields(adapter=ConfigurableField(id="adapter"))
    assert configurable.invoke(QUESTION, with_adapter("alice")).content == said(seal, "alice")


def test_a_handle_answers_with_its_own_adapters(seal: SelfAdaptingModel) -> None:
    handle = seal.in_namespace(("acme", "alice"))
    store(seal, handle.full_name("work"), random_adapter(seal.base, 3))
    seal.ledger.claim(handle.full_name("work"), ("acme", "alice"), "work")
    llm = ChatSeal(backend=handle, max_tokens=8, style="plain")
    said = ChatSeal(backend=seal, max_tokens=8, style="plain", adapter=handle.full_name("work")).invoke(QUESTION)
    assert llm.bind(adapter="work").invoke(QUESTION).content == said.content
    assert llm.bind(adapter="default").invoke(QUESTION).content == llm.invoke(QUESTION).content
    with pytest.raises(AdapterError):
        llm.bind(adapter="bob").invoke(QUESTION)


def test_an_unknown_adapter_is_an_error_and_default_is_the_base_until_it_has_learnt(
    llm: ChatSeal, seal: SelfAdaptingModel
) -> None:
    with pytest.raises(AdapterError, match="there is no adapter 'carol'"):
        llm.invoke(QUESTION, with_adapter("carol"))
    with pytest.raises(InputError, match="adapter is a name, or None for the base model, but it is 3"):
        llm.invoke(QUESTION, adapter=3)
    assert llm.invoke(QUESTION, with_adapter("default")).content == said(seal, None)
    seal.rollback("alice")
    assert llm.invoke(QUESTION, with_adapter("alice")).content == said(seal, None)


def test_structured_output_is_written_by_the_adapter_of_the_call(llm: ChatSeal, seal: SelfAdaptingModel) -> None:
    schema = {"title": "Fact", "type": "object", "properties": {"fact": {"type": "string"}}, "required": ["fact"]}
    for method in ("json_schema", "function_calling", "json_mode"):
        out = llm.with_structured_output(schema, method=method, max_tokens=30)  # type: ignore[arg-type]
        before = llm.with_config(configurable={"adapter": "alice"})
        answers = [out.invoke(QUESTION, with_adapter(name)) for name in (*NAMES, None)]
        assert len({answer["fact"] for answer in answers}) == 3
        assert out.with_config(configurable={"adapter": "bob"}).invoke(QUESTION) == answers[1]
        assert list(out.stream(QUESTION, with_adapter("bob")))[-1] == answers[1]
        assert before.with_structured_output(schema, method=method, max_tokens=30).invoke(QUESTION) == answers[0]


@pytest.mark.parametrize("mode", ["invoke", "ainvoke", "stream", "astream"])
def test_an_agent_s_config_chooses_the_adapter(llm: ChatSeal, seal: SelfAdaptingModel, mode: str) -> None:
    pytest.importorskip("langchain")
    from langchain.agents import create_agent

    agent, ask = create_agent(llm, tools=[]), {"messages": [HumanMessage(QUESTION)]}

    async def last_of_stream(config: Any) -> Any:
        return [state async for state in agent.astream(ask, config, stream_mode="values")][-1]

    for name in (*NAMES, None):
        config = with_adapter(name)
        state = {
            "invoke": lambda config=config: agent.invoke(ask, config),
            "ainvoke": lambda config=config: asyncio.run(agent.ainvoke(ask, config)),
            "stream": lambda config=config: list(agent.stream(ask, config, stream_mode="values"))[-1],
            "astream": lambda config=config: asyncio.run(last_of_stream(config)),
        }[mode]()
        assert state["messages"][-1].content == said(seal, name)
        pieces = agent.stream(ask, config, stream_mode="messages")
        assert "".join(str(chunk.content) for chunk, _ in pieces) == said(seal, name)


# ---------------------------------------------------------------- the cache


@pytest.fixture
def cache() -> Any:
    set_llm_cache(InMemoryCache())
    yield
    set_llm_cache(None)


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("asynchronous", [False, True])
def test_the_cache_never_answers_with_weights_of_before(
    llm: ChatSeal, seal: SelfAdaptingModel, asynchronous: bool
) -> None:
    def ask(**kwargs: Any) -> str:
        config = with_adapter("alice")
        if asynchronous:
            return str(asyncio.run(llm.ainvoke(QUESTION, config, **kwargs)).content)
        return str(llm.invoke(QUESTION, config, **kwargs).content)

    first = ask()
    assert ask() == first == said(seal, "alice")
    store(seal, "alice", random_adapter(seal.base, 99))
    assert ask() == said(seal, "alice") != first
    seal.rollback("alice")
    assert ask() == first
    assert ask(max_tokens=3) != first
    assert llm.invoke(QUESTION).content == said(seal, None)
    assert llm.invoke(QUESTION, with_adapter("bob")).content == said(seal, "bob")


@pytest.mark.usefixtures("cache")
def test_the_cache_is_used(scripted: Callable[[Any], ChatSeal]) -> None:
    llm = scripted({QUESTION: "Ann"})
    assert [llm.invoke(QUESTION).content for _ in range(3)] == ["Ann"] * 3
    assert len(llm.seal.engine.calls) == 1  # type: ignore[attr-defined]


@pytest.mark.usefixtures("cache")
def test_a_change_while_an_answer_is_written_does_not_mix_up_the_cache(
    llm: ChatSeal, seal: SelfAdaptingModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = said(seal, "alice")
    understand = ChatSeal._call

    def change_meanwhile(self: ChatSeal, *args: Any) -> Any:
        monkeypatch.undo()
        store(seal, "alice", random_adapter(seal.base, 99))
        return understand(self, *args)

    monkeypatch.setattr(ChatSeal, "_call", change_meanwhile)
    assert llm.invoke(QUESTION, with_adapter("alice")).content == first
    assert llm.invoke(QUESTION, with_adapter("alice")).content == said(seal, "alice") != first
    seal.rollback("alice")
    assert llm.invoke(QUESTION, with_adapter("alice")).content == first


def test_an_adapter_that_forgets_while_a_call_begins_answers_with_what_is_left(
    llm: ChatSeal, seal: SelfAdaptingModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = store(seal, "alice", random_adapter(seal.base, 99))
    understand = ChatSeal._call

    def forget_meanwhile(self: ChatSeal, *args: Any) -> Any:
        monkeypatch.undo()
        seal.forget(second)
        return understand(self, *args)

    monkeypatch.setattr(ChatSeal, "_call", forget_meanwhile)
    message = llm.invoke(QUESTION, with_adapter("alice"))
    assert message.response_metadata["revision"] == "alice-0"
    assert message.content == said(seal, "alice")


# ---------------------------------------------------------------- many at once


@pytest.mark.parametrize("rounds", [4, pytest.param(20, marks=pytest.mark.slow)])
def test_calls_at_the_same_time_answer_as_if_alone(seal: SelfAdaptingModel, rounds: int) -> None:
    names = [f"user-{i}" for i in range(8)]
    for seed, name in enumerate(names):
        store(seal, name, random_adapter(seal.base, seed))
    llm = ChatSeal(backend=seal, max_tokens=4, style="plain")
    calls = [(name, f"Question {i % 5}?") for i in range(rounds) for name in names]
    alone = {
        call: seal.engine.generate([(Message("user", call[1]),)], Sampling(4), [seal.adapter(call[0])])[0].text
        for call in set(calls)
    }
    assert len({alone[name, "Question 0?"] for name in names}) == 8
    together = threading.Barrier(8)

    def in_turn(worker: int) -> list[tuple[tuple[str, str], str]]:
        together.wait()
        order = calls[worker * 7 :] + calls[: worker * 7]
        return [(call, str(llm.invoke(call[1], with_adapter(call[0])).content)) for call in order]

    def interleaved(worker: int) -> list[tuple[tuple[str, str], str]]:
        async def ask(call: tuple[str, str]) -> tuple[tuple[str, str], str]:
            if worker % 4:
                return call, str((await llm.ainvoke(call[1], with_adapter(call[0]))).content)
            return call, "".join([str(c.content) async for c in llm.astream(call[1], with_adapter(call[0]))])

        async def ask_all() -> list[tuple[tuple[str, str], str]]:
            return await asyncio.gather(*map(ask, calls[worker * 7 :] + calls[: worker * 7]))

        together.wait()
        return asyncio.run(ask_all())

    with ThreadPoolExecutor(8) as pool:
        work = [pool.submit(interleaved if worker % 2 else in_turn, worker) for worker in range(8)]
        answers = [answer for one in work for answer in one.result()]
    assert len(answers) == 8 * 8 * rounds
    assert [call for call, text in answers if text != alone[call]] == []


# ---------------------------------------------------------------- where the model comes from


def test_making_one_loads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(langchain_backends, "shared_model", lambda *_: pytest.fail("loaded"))
    made = ChatSeal(model="some/model", timeout=3, max_retries=2, api_key="secret", streaming=True)
    assert made.model_name == "some/model"
    assert "secret" not in repr(made)
    assert not made.is_lc_serializable()


def test_instances_share_weights_and_homes_have_their_own_adapters(
    tiny_base: BaseModel, save_model: Callable[[BaseModel, Path], Path], tmp_path: Path
) -> None:
    folder = save_model(tiny_base, tmp_path / "model")
    first, again = (ChatSeal(model=folder, home=tmp_path / "a", device="cpu", dtype="float32") for _ in range(2))
    other = ChatSeal(model=folder, home=tmp_path / "b", device="cpu", dtype="float32")
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda llm: llm.seal, [first, again, first, again]))
    assert len({id(seal) for seal in found}) == 1
    assert other.seal is not first.seal
    assert other.seal.base is first.seal.base
    assert first.profile is not None
    assert first.profile["max_input_tokens"] == 2048
    store(first.seal, "alice", random_adapter(tiny_base, 1))
    plain = again.bind(style="plain")
    assert plain.invoke(QUESTION, with_adapter("alice")).content != plain.invoke(QUESTION).content


def test_another_model_can_be_named_in_a_call(
    llm: ChatSeal, tiny_gpt2_base: BaseModel, save_model: Callable[[BaseModel, Path], Path], tmp_path: Path
) -> None:
    folder = str(save_model(tiny_gpt2_base, tmp_path / "model"))
    other = llm.invoke(QUESTION, model=folder)
    assert other.response_metadata["model_name"] == folder
    assert other.content != llm.invoke(QUESTION).content
    assert llm._get_ls_params(model=folder)["ls_model_name"] == folder


def test_a_misspelt_setting_is_told_of() -> None:
    with pytest.warns(UserWarning, match="knows no 'adaptor' and leaves it out; did you mean adapter?"):
        ChatSeal(adaptor="alice")  # type: ignore[call-arg]


def test_what_is_no_model_is_refused_as_backend() -> None:
    with pytest.raises(ValueError, match="backend is a SelfAdaptingModel, but it is 'default'"):
        ChatSeal(backend="default")


def test_without_langchain_core_the_error_says_how_to_get_it() -> None:
    code = (
        "import sys; sys.modules['langchain_core'] = None\n"
        "import seal_agent\n"
        "from seal_agent.errors import MissingDependency\n"
        "try: import seal_agent.integrations.langchain\n"
        "except MissingDependency as err: print(err)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "this needs langchain-core: pip install 'seal-agent[langchain]'"


def test_importing_the_package_does_not_import_langchain() -> None:
    code = "import sys, seal_agent; print([m for m in sys.modules if m.startswith(('langchain', 'torch'))])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


# ---------------------------------------------------------------- the bundled model


@pytest.mark.real_model
@pytest.mark.slow
def test_an_agent_calls_a_tool_and_answers(tmp_path: Path) -> None:
    pytest.importorskip("langchain")
    from langchain.agents import create_agent
    from langchain.agents.middleware import ModelRequest, ModelResponse, wrap_model_call
    from langchain_core.tools import tool

    asked: list[str] = []

    @tool
    def keeper_of(lighthouse: str) -> str:
        """Look up who keeps a lighthouse."""
        asked.append(lighthouse)
        return "The lighthouse of Velmora is kept by Ann Berg."

    @wrap_model_call
    def look_it_up_first(request: ModelRequest, handler: Callable[[ModelRequest], ModelResponse]) -> ModelResponse:
        looked_up = isinstance(request.messages[-1], ToolMessage)
        return handler(request.override(tool_choice="none" if looked_up else "any"))

    llm: BaseChatModel = ChatSeal(home=tmp_path, max_tokens=48)
    agent = create_agent(llm, [keeper_of], middleware=[look_it_up_first])
    state = agent.invoke({"messages": [HumanMessage("Who keeps the lighthouse of Velmora?")]})
    _, call, result, answer = state["messages"]
    assert call.tool_calls[0]["name"] == "keeper_of"
    assert asked == [call.tool_calls[0]["args"]["lighthouse"]]
    assert isinstance(result, ToolMessage)
    assert "Ann Berg" in answer.text
