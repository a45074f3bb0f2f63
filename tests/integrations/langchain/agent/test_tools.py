"""Tools for agents: each user has an adapter of their own, and nothing that a chat model says can change whose."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from fakes import ScriptedEngine
from test_model import NOTES, OTHER, QUICK, TEXT, learner

pytest.importorskip("langchain")

from hypothesis import given
from hypothesis import strategies as st
from langchain.agents import create_agent
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import BaseTool, ToolException
from langchain_tests.integration_tests import ToolsIntegrationTests
from langchain_tests.unit_tests import ToolsUnitTests

from seal_agent.base_model.model import BaseModel
from seal_agent.errors import InputError, TrainingError
from seal_agent.integrations.langchain.agent.tools import adapter_for, create_adaptation_tools
from seal_agent.model import SelfAdaptingModel
from seal_agent.store.names import check_name

ALICE = {"configurable": {"user_id": "alice"}}
BOB = {"configurable": {"user_id": "bob"}}


@pytest.fixture
def model(tiny_base: BaseModel, tmp_path: Path) -> SelfAdaptingModel:
    return SelfAdaptingModel(tiny_base, home=tmp_path / "home", engine=ScriptedEngine(learner))


def tools_of(model: SelfAdaptingModel, *namespace: str) -> dict[str, BaseTool]:
    made = create_adaptation_tools(model, namespace or ("{user_id}",), self_edit=NOTES, inner_loop=QUICK)
    return {tool.name: tool for tool in made}


@pytest.fixture
def tools(model: SelfAdaptingModel) -> dict[str, BaseTool]:
    return tools_of(model)


# ---------------------------------------------------------------- names


def test_a_namespace_is_filled_from_context_and_config() -> None:
    @dataclass
    class Who:
        user_id: str

    assert adapter_for(("acme", "{user_id}"), {"user_id": "alice"}) == "acme.alice"
    assert adapter_for(("acme", "{user_id}"), Who("alice")) == "acme.alice"
    assert adapter_for(("acme", "{user_id}"), None, ALICE) == "acme.alice"
    assert adapter_for(("u-{user_id}", "{thread_id}"), Who("7"), {"configurable": {"thread_id": 3}}) == "u-7.3"
    assert adapter_for(("{thread_id}",), {"thread_id": UUID(int=1)}) == str(UUID(int=1))
    assert adapter_for(("team_notes",)) == "team_notes"


@pytest.mark.parametrize("missing", [None, {}, {"user_id": None}, {"thread_id": "alice"}])
def test_a_missing_identity_is_an_error_that_says_what_to_pass(missing: object) -> None:
    with pytest.raises(InputError, match=r'this run has no user_id; invoke the agent with context=\{"user_id"'):
        adapter_for(("acme", "{user_id}"), missing, {"configurable": {"thread_id": "1"}})


@pytest.mark.parametrize("odd", ["", "  ", True, 1.5, ["alice"], {"name": "alice"}])
def test_what_is_no_identity_is_refused(odd: object) -> None:
    with pytest.raises(InputError, match="give a text that is not empty"):
        adapter_for(("{user_id}",), {"user_id": odd})


def test_context_and_config_that_name_different_users_are_refused() -> None:
    assert adapter_for(("{user_id}",), {"user_id": "alice"}, ALICE) == "alice"
    with pytest.raises(InputError, match="are not the same"):
        adapter_for(("{user_id}",), {"user_id": "bob"}, ALICE)


@pytest.mark.parametrize("namespace", ["acme", (), ("",), (3,), ("{a}{b}",), ("{user id}",), ("{",), ("{}",)])
def test_a_namespace_that_is_none_is_refused_at_once(model: SelfAdaptingModel, namespace: Any) -> None:
    with pytest.raises(InputError, match="namespace"):
        create_adaptation_tools(model, namespace)


def test_nobody_can_be_called_default() -> None:
    assert adapter_for(("{user_id}",), {"user_id": "default"}) != "default"
    assert adapter_for(("default",)) == "default", "but an agent's author can choose it for everybody"


def test_what_a_user_is_called_is_not_filled_in_again() -> None:
    name = adapter_for(("{user_id}", "{thread_id}"), {"user_id": "{thread_id}", "thread_id": "t"})
    assert name != adapter_for(("{user_id}", "{thread_id}"), {"user_id": "t", "thread_id": "t"})


IDENTITIES = st.one_of(
    st.text(min_size=1, max_size=80),
    st.text("aA0._-/\\%é", min_size=1, max_size=8),
    st.sampled_from(["a.b", "a_2eb", "a_.b", "..", "../x", "a", "A", "x_-" + "0" * 40, "é", "e\u0301"]),
).filter(lambda text: bool(text.strip()))


@given(st.tuples(IDENTITIES, IDENTITIES), st.tuples(IDENTITIES, IDENTITIES))
def test_every_identity_has_a_valid_name_of_its_own(one: tuple[str, str], other: tuple[str, str]) -> None:
    names = [
        adapter_for(("{user_id}", "{thread_id}"), {"user_id": user, "thread_id": thread})
        for user, thread in (one, other)
    ]
    assert [check_name(name) for name in names] == names
    assert (names[0] == names[1]) == (one == other)


@given(IDENTITIES, IDENTITIES)
def test_alone_too(one: str, other: str) -> None:
    names = [check_name(adapter_for(("{user_id}",), {"user_id": user})) for user in (one, other)]
    assert (names[0] == names[1]) == (one == other)


# ---------------------------------------------------------------- what the tools do


def test_remember_history_rollback_and_forget(model: SelfAdaptingModel, tools: dict[str, BaseTool]) -> None:
    assert tools["history"].invoke({}, ALICE) == "Nothing has been learnt yet."
    said = tools["remember"].invoke({"text": TEXT, "title": "Kiribati"}, ALICE)
    (first,) = model.history("alice")
    assert said.startswith(f"Learnt: {first.id} (Kiribati), in ")
    assert first.context.title == "Kiribati"
    tools["remember"].invoke({"text": OTHER}, ALICE)
    second = model.history("alice")[1]
    lines = tools["history"].invoke({}, ALICE).splitlines()
    assert lines == [
        f"{one.id} ({what}), {one.created[:10]}, in use"
        for one, what in zip((first, second), ("Kiribati", OTHER), strict=True)
    ]
    assert (
        tools["rollback"].invoke({}, ALICE) == f"Rolled back {second.id} ({OTHER}). Now in use: {first.id} (Kiribati)."
    )
    assert tools["history"].invoke({}, ALICE).splitlines()[1].endswith("not in use")
    said = tools["forget"].invoke({"revision": first.id}, ALICE)
    assert said == f"Forgot {first.id} for good. Now in use: the model as it was before it learnt anything."
    assert model.history("alice") == []
    assert f"{first.id}, forgotten on " in tools["history"].invoke({}, ALICE)
    assert model.adapters() == {"alice": None}


def test_a_text_that_is_known_is_not_learnt_twice(model: SelfAdaptingModel, tools: dict[str, BaseTool]) -> None:
    tools["remember"].invoke({"text": TEXT}, ALICE)
    assert tools["remember"].invoke({"text": f" {TEXT}\n"}, ALICE).startswith("Already known, as revision ")
    assert len(model.history("alice")) == 1
    tools["rollback"].invoke({}, ALICE)
    assert tools["remember"].invoke({"text": TEXT}, ALICE).startswith("Learnt: ")


def test_they_work_without_a_thread_of_ones_own(model: SelfAdaptingModel, tools: dict[str, BaseTool]) -> None:
    async def use() -> str:
        await tools["remember"].ainvoke({"text": TEXT}, ALICE)
        return await tools["history"].ainvoke({}, ALICE)

    assert "in use" in asyncio.run(use())
    assert set(model.adapters()) == {"alice"}


def test_what_goes_wrong_is_told_to_the_chat_model(
    model: SelfAdaptingModel, tools: dict[str, BaseTool], monkeypatch: pytest.MonkeyPatch
) -> None:
    call = {"name": "remember", "args": {"text": "  "}, "id": "1", "type": "tool_call"}
    said = tools["remember"].invoke(call, ALICE)
    assert isinstance(said, ToolMessage)
    assert said.status == "error"
    assert said.content.startswith("Error: the context is empty")
    assert "there is nothing to roll back" in tools["rollback"].invoke({}, ALICE)
    assert "there is no revision 'nope' here" in tools["forget"].invoke({"revision": "nope"}, ALICE)

    def fail(*_: object, **__: object) -> None:
        raise TrainingError("the loss is not finite; lower the learning rate")

    monkeypatch.setattr(model, "adapt", fail)
    assert tools["remember"].invoke({"text": TEXT}, ALICE) == "Error: the loss is not finite; lower the learning rate"


def test_something_forgotten_is_not_forgotten_again(model: SelfAdaptingModel, tools: dict[str, BaseTool]) -> None:
    tools["remember"].invoke({"text": TEXT}, ALICE)
    (gone,) = model.history("alice")
    tools["forget"].invoke({"revision": gone.id}, ALICE)
    assert "was forgotten before" in tools["forget"].invoke({"revision": gone.id}, ALICE)


def test_what_is_quarantined_is_listed_and_can_be_forgotten(model: SelfAdaptingModel) -> None:
    options: Any = {"self_edit": NOTES, "inner_loop": QUICK, "gate": None, "trust": "untrusted"}
    tools = {tool.name: tool for tool in create_adaptation_tools(model, **options)}
    assert tools["remember"].invoke({"text": TEXT}, ALICE).startswith("Quarantined: ")
    (revision,) = model.ledger.history("alice")
    assert tools["history"].invoke({}, ALICE).endswith("not in use")
    assert tools["forget"].invoke({"revision": revision.id}, ALICE).startswith(f"Forgot {revision.id}")
    assert not model.ledger.history("alice")


# ---------------------------------------------------------------- whose adapter it is


def test_a_user_reaches_no_other_users_adapter(model: SelfAdaptingModel, tools: dict[str, BaseTool]) -> None:
    tools["remember"].invoke({"text": TEXT}, ALICE)
    (of_alice,) = model.history("alice")
    assert tools["history"].invoke({}, BOB) == "Nothing has been learnt yet."
    for said in (tools["rollback"].invoke({}, BOB), tools["forget"].invoke({"revision": of_alice.id}, BOB)):
        assert said.startswith("Error: there is no")
        assert "alice" not in said
    assert model.history("alice") == [of_alice]


@pytest.mark.parametrize("name", ["remember", "rollback", "history", "forget"])
def test_without_an_identity_the_run_ends(model: SelfAdaptingModel, tools: dict[str, BaseTool], name: str) -> None:
    arguments = {"text": TEXT, "revision": "x"}
    with pytest.raises(ToolException, match="this run has no user_id; invoke the agent with"):
        tools[name].invoke(arguments)
    with pytest.raises(ToolException, match="this run has no user_id"):
        asyncio.run(tools[name].ainvoke(arguments, {"configurable": {"thread_id": "alice"}}))
    assert model.adapters() == {}


def test_the_chat_model_sees_no_identity_and_cannot_give_one(
    model: SelfAdaptingModel, tools: dict[str, BaseTool]
) -> None:
    shown = {name: set(tool.tool_call_schema.model_json_schema()["properties"]) for name, tool in tools.items()}  # type: ignore[union-attr]
    assert shown == {"remember": {"text", "title"}, "rollback": set(), "history": set(), "forget": {"revision"}}
    forged = {"user_id": "bob", "config": BOB, "runtime": {"context": {"user_id": "bob"}}, "adapter": "bob"}
    call = {"name": "remember", "args": {"text": TEXT, **forged}, "id": "1", "type": "tool_call"}
    tools["remember"].invoke(call, ALICE)
    assert set(model.adapters()) == {"alice"}


# ---------------------------------------------------------------- in an agent


@dataclass
class Who:
    user_id: str


class Scripted(GenericFakeChatModel):
    """Says what it was given, turn by turn, and can be given tools."""

    def bind_tools(self, tools: Any, **_: Any) -> Any:
        return self


def says(*turns: AIMessage) -> Scripted:
    return Scripted(messages=iter(turns))


def calling(name: str, **args: Any) -> AIMessage:
    return AIMessage("", tool_calls=[{"name": name, "args": args, "id": name}])


@pytest.mark.parametrize("asynchronous", [False, True])
def test_in_an_agent_the_context_says_whose_adapter_it_is(model: SelfAdaptingModel, asynchronous: bool) -> None:
    chat = says(calling("remember", text=TEXT, runtime="bob", user_id="bob"), calling("history"), AIMessage("Done."))
    agent = create_agent(chat, list(tools_of(model, "acme", "{user_id}").values()), context_schema=Who)
    question = {"messages": [("user", "Remember this.")]}
    if asynchronous:
        result = asyncio.run(agent.ainvoke(question, context=Who("alice")))
    else:
        result = agent.invoke(question, context=Who("alice"))
    told = [message for message in result["messages"] if isinstance(message, ToolMessage)]
    assert [message.status for message in told] == ["success", "success"]
    assert told[1].content.endswith("in use")
    assert set(model.adapters()) == {"acme.alice"}


def test_in_an_agent_without_context_the_config_does(model: SelfAdaptingModel) -> None:
    agent = create_agent(says(calling("remember", text=TEXT), AIMessage("Done.")), list(tools_of(model).values()))
    agent.invoke({"messages": [("user", "Remember this.")]}, ALICE)
    assert set(model.adapters()) == {"alice"}


def test_in_an_agent_a_missing_identity_ends_the_run(model: SelfAdaptingModel) -> None:
    agent = create_agent(says(calling("remember", text=TEXT), AIMessage("Done.")), list(tools_of(model).values()))
    with pytest.raises(ToolException, match="this run has no user_id"):
        agent.invoke({"messages": [("user", "Remember this.")]})


# ---------------------------------------------------------------- LangChain's own tests


class OfEachTool:
    """Each tool in turn, with one adapter for all runs, which has learnt something."""

    @pytest.fixture(autouse=True, params=["remember", "rollback", "history", "forget"])
    def given(self, request: pytest.FixtureRequest, model: SelfAdaptingModel) -> None:
        learnt = model.adapt(OTHER, adapter="shared", self_edit=NOTES, inner_loop=QUICK, gate=None)
        examples = {"remember": {"text": TEXT, "title": "Kiribati"}, "forget": {"revision": learnt.id}}
        self._tool, self._example = tools_of(model, "shared")[request.param], examples.get(request.param, {})

    @property
    def tool_constructor(self) -> BaseTool:
        return self._tool

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return self._example


class TestUnit(OfEachTool, ToolsUnitTests):
    pass


class TestIntegration(OfEachTool, ToolsIntegrationTests):
    pass
