"""AdaptationMiddleware: an agent learns what it is given, once, for the right user, and only what was approved."""

from __future__ import annotations

import base64
import importlib
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from fakes import ScriptedEngine
from test_model import NOTES, OTHER, TEXT, learner

pytest.importorskip("langchain")

from agent_session import ALICE, BOB, Session, learnt
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import ValidationError

from seal_agent.base_model.model import BaseModel
from seal_agent.config import Limits
from seal_agent.errors import EngineError, InputError, MissingDependency, TrainingError
from seal_agent.integrations.drafts import Draft, from_json, to_json
from seal_agent.integrations.langchain.agent.middleware import AdaptationMiddleware, is_correction
from seal_agent.model import SelfAdaptingModel
from seal_agent.store import budget
from seal_agent.types import Context


@dataclass
class Counted:
    """How often a model wrote notes, and trained."""

    proposed: list[str] = field(default_factory=list)
    committed: list[str] = field(default_factory=list)


@pytest.fixture
def model(tiny_base: BaseModel, tmp_path: Path) -> SelfAdaptingModel:
    return SelfAdaptingModel(tiny_base, home=tmp_path / "home", engine=ScriptedEngine(learner))


@pytest.fixture
def counted(model: SelfAdaptingModel, monkeypatch: pytest.MonkeyPatch) -> Counted:
    counts, propose, commit = Counted(), model.propose, model.commit

    def proposing(context: Any, **options: Any) -> Any:
        counts.proposed.append(context.text)
        return propose(context, **options)

    def committing(proposal: Any, **options: Any) -> Any:
        counts.committed.append(proposal.context.text)
        return commit(proposal, **options)

    monkeypatch.setattr(model, "propose", proposing)
    monkeypatch.setattr(model, "commit", committing)
    return counts


both = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])


# ---------------------------------------------------------------- documents


@both
def test_a_document_is_learnt_when_the_agent_has_answered(
    model: SelfAdaptingModel, counted: Counted, asynchronous: bool
) -> None:
    session = Session(model, asynchronous)
    result = session.say("Read this.", documents=[{"text": TEXT, "title": "Kiribati"}])
    (revision,) = model.history("alice")
    assert revision.context == Context(TEXT, "Kiribati")
    assert revision.metadata == (("learnt_from", "documents"),)
    assert result["messages"][-1].text == "Fine."
    (told,) = result["adaptations"]
    assert (told["subject"], told["revision"], told["accepted"], told["error"]) == ("Kiribati", revision.id, True, "")
    assert counted == Counted([TEXT], [TEXT])
    assert session.say("Hello")["adaptations"] == [], "each run tells of its own"


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "block",
    [
        {"type": "text-plain", "text": TEXT, "mime_type": "text/plain"},
        {"type": "text-plain", "base64": encoded(TEXT), "mime_type": "text/plain"},
        {"type": "file", "base64": encoded(TEXT), "mime_type": "text/markdown"},
    ],
)
def test_texts_attached_to_a_message_are_documents(model: SelfAdaptingModel, block: dict[str, Any]) -> None:
    Session(model).say([{"type": "text", "text": "Read this."}, block])
    assert learnt(model) == [TEXT]


@pytest.mark.parametrize(
    "block",
    [
        {"type": "text", "text": TEXT},
        {"type": "file", "base64": encoded(TEXT), "mime_type": "application/pdf"},
        {"type": "file", "base64": "bm90IHV0Zi04/w==", "mime_type": "text/plain"},
        {"type": "file", "base64": "!", "mime_type": "text/plain"},
        {"type": "file", "url": "https://example.com/a.txt", "mime_type": "text/plain"},
        {"type": "image", "base64": encoded(TEXT), "mime_type": "image/png"},
    ],
)
def test_other_parts_of_a_message_are_none(model: SelfAdaptingModel, block: dict[str, Any]) -> None:
    Session(model).say([block])
    assert model.adapters() == {}


@tool(response_format="content_and_artifact")
def look_up() -> tuple[str, list[Any]]:
    """Look something up."""
    return "found", [Document(TEXT, metadata={"title": "Kiribati"}), Document(OTHER), {"text": "no document"}]


CALLING = AIMessage("", tool_calls=[{"name": "look_up", "args": {}, "id": "1"}])


@pytest.mark.parametrize("on", [("documents", "corrections"), ("documents",)])
def test_nothing_that_a_tool_returned_is_learnt_unless_it_is_asked_for(model: SelfAdaptingModel, on: Any) -> None:
    session = Session(model, tools=[look_up], turns=[CALLING], on=on)
    session.say("What is there?")
    assert model.adapters() == {}
    session.say("Read this.", documents=[OTHER])
    assert learnt(model) == [OTHER], "other documents of the same conversation are learnt"


def test_without_documents_in_on_no_tool_is_learnt_from(model: SelfAdaptingModel) -> None:
    session = Session(model, tools=[look_up], turns=[CALLING], on=("corrections",), learn_from_tools=True)
    session.say("What is there?")
    assert model.adapters() == {}


def test_documents_that_a_tool_found_are_quarantined_if_it_is_asked_for(
    model: SelfAdaptingModel, counted: Counted
) -> None:
    Session(model, tools=[look_up], turns=[CALLING], learn_from_tools=True).say("What is there?")
    history = model.history("alice")
    assert [(one.context.text, one.status) for one in history] == [(TEXT, "quarantined"), (OTHER, "quarantined")]
    assert history[0].context.title == "Kiribati"
    assert learnt(model) == []
    assert len(counted.proposed) == 2
    Session(model, tools=[look_up], turns=[CALLING], learn_from_tools=True).say("What is there?")
    assert len(counted.proposed) == 2, "not learned again in every thread"


def test_every_way_to_give_a_document(model: SelfAdaptingModel) -> None:
    texts = [f"Island number {i} is green." for i in range(4)]
    given = [texts[0], Document(texts[1]), {"page_content": texts[2]}, Context(texts[3])]
    Session(model).say("Read these.", documents=given)
    assert learnt(model) == texts


def test_a_document_that_is_none_ends_the_run_before_anything_is_said(model: SelfAdaptingModel) -> None:
    session = Session(model)
    with pytest.raises(InputError, match="of type int"):
        session.say("Read this.", documents=[3])
    assert session.chat.settings == []


def test_the_same_document_is_learnt_once(model: SelfAdaptingModel, counted: Counted) -> None:
    session = Session(model)
    session.say("Read this.", documents=[TEXT, TEXT])
    session.say([{"type": "text-plain", "text": TEXT, "mime_type": "text/plain"}])
    session.say("And this.", thread="2", documents=[f"{TEXT}\n"])
    assert learnt(model) == [TEXT]
    assert counted == Counted([TEXT], [TEXT])


def test_what_was_rolled_back_is_not_learnt_again_from_the_same_conversation(model: SelfAdaptingModel) -> None:
    session = Session(model)
    session.say("Read this.", documents=[TEXT])
    model.rollback("alice")
    session.say("Hello")
    assert model.adapters() == {"alice": None}


def test_what_cannot_be_learnt_is_told_and_the_conversation_goes_on(
    model: SelfAdaptingModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise TrainingError("the loss is not finite")

    session = Session(model)
    result = session.say("Read these.", documents=[" ", {"text": TEXT, "title": "Kiribati"}])
    assert "the context is empty" in result["adaptations"][0]["error"]
    assert result["adaptations"][1]["error"] == ""
    monkeypatch.setattr(model, "commit", fail)
    result = session.say("And this.", documents=[OTHER])
    assert result["messages"][-1].text == "Fine."
    assert [one["error"] for one in result["adaptations"]] == ["the loss is not finite"]
    assert learnt(model) == [TEXT]


def test_one_may_choose_what_is_learnt_from(model: SelfAdaptingModel) -> None:
    session = Session(model, on=("corrections",))
    session.say("Read this.", documents=[TEXT])
    assert model.adapters() == {}
    with pytest.raises(InputError, match="documents and corrections, but it is"):
        AdaptationMiddleware(model, on=("papers",))  # type: ignore[arg-type]
    with pytest.raises(InputError):
        AdaptationMiddleware(model, on="documents")  # type: ignore[arg-type]


# ---------------------------------------------------------------- corrections


@both
def test_a_correction_is_learnt_with_the_question_it_is_about(model: SelfAdaptingModel, asynchronous: bool) -> None:
    session = Session(model, asynchronous, turns=[AIMessage("It is Suva.")])
    session.say("What is the capital of Kiribati?")
    assert model.adapters() == {}
    session.say("No, it is Tarawa.")
    assert learnt(model) == ["What is the capital of Kiribati? It is Tarawa."]
    assert model.history("alice")[0].metadata == (("learnt_from", "corrections"),)


@pytest.mark.parametrize(
    ("said", "learns"),
    [
        ("No, it is Tarawa.", "It is Tarawa."),
        ("no. The capital is Tarawa!", "The capital is Tarawa!"),
        ("That's wrong: the capital is Tarawa.", "The capital is Tarawa."),
        ("No, that’s not right. The capital is Tarawa.", "The capital is Tarawa."),
        ("Actually, the capital is Tarawa.", "The capital is Tarawa."),
        ("You're mistaken, it is Tarawa.", "It is Tarawa."),
        ("No, thanks.", None),
        ("No, I do not want that.", None),
        ("No, please write it shorter.", None),
        ("No problem, go on with it.", None),
        ("No, what is the capital?", None),
        ("Nobody lives there, I think.", None),
        ("The capital is Tarawa.", None),
        ("Wrong.", None),
        ("", None),
    ],
)
def test_what_counts_as_a_correction(said: str, learns: str | None) -> None:
    assert is_correction([HumanMessage("Tell me."), AIMessage("It is Suva."), HumanMessage(said)]) == learns


def test_only_an_answer_can_be_corrected() -> None:
    said = HumanMessage("No, it is Tarawa.")
    assert is_correction([]) is None
    assert is_correction([said]) is None
    assert is_correction([HumanMessage("Hi"), said]) is None
    assert is_correction([AIMessage("It is Suva."), said, AIMessage("Sorry.")]) is None


def test_another_rule_may_be_given(model: SelfAdaptingModel) -> None:
    def shouted(messages: Any) -> str | None:
        assert isinstance(messages[-1], HumanMessage), "the conversation as it was when the user had spoken"
        return str(messages[-1].text).capitalize() if str(messages[-1].text).isupper() else None

    Session(model, is_correction=shouted).say("TARAWA IS THE CAPITAL.")
    assert learnt(model) == ["Tarawa is the capital."]


# ---------------------------------------------------------------- approval


@both
def test_with_approval_nothing_is_drafted_or_trained_twice(
    model: SelfAdaptingModel, counted: Counted, asynchronous: bool
) -> None:
    session = Session(model, asynchronous, approve=True)
    (asked,) = session.say("Read this.", documents=[{"text": TEXT, "title": "Kiribati"}])["__interrupt__"]
    assert counted == Counted([TEXT], [])
    assert model.adapters() == {}
    assert asked.value["action"] == "adapt"
    assert asked.value["adapter"] == "alice"
    (draft,) = asked.value["drafts"]
    assert (draft["title"], draft["text"], draft["source"]) == ("Kiribati", TEXT, "documents")
    assert draft["notes"] == ["Tarawa is the capital.", "The capital of Kiribati is Tarawa."]
    result = session.answer({"approve": True})
    assert counted == Counted([TEXT], [TEXT])
    assert learnt(model) == [TEXT]
    assert result["adaptations"][0]["revision"] == model.adapters()["alice"]
    session.say("Hello")
    assert counted == Counted([TEXT], [TEXT])


@both
@pytest.mark.parametrize("decision", [False, {"approve": False}, {"approve": []}])
def test_a_rejection_trains_nothing_and_is_final(
    model: SelfAdaptingModel, counted: Counted, asynchronous: bool, decision: Any
) -> None:
    session = Session(model, asynchronous, approve=True)
    session.say("Read this.", documents=[TEXT])
    assert session.answer(decision)["adaptations"] == []
    assert "__interrupt__" not in session.say("Hello")
    assert counted == Counted([TEXT], [])
    assert model.adapters() == {}


def test_some_drafts_may_be_approved_and_others_not(model: SelfAdaptingModel) -> None:
    session = Session(model, approve=True)
    (asked,) = session.say("Read these.", documents=[TEXT, OTHER])["__interrupt__"]
    session.answer({"approve": [asked.value["drafts"][1]["id"]]})
    assert learnt(model) == [OTHER]


def test_true_alone_is_an_answer_and_nonsense_can_be_answered_again(model: SelfAdaptingModel, counted: Counted) -> None:
    session = Session(model, approve=True)
    session.say("Read this.", documents=[TEXT])
    with pytest.raises(ValidationError):
        session.answer({"agreed": "perhaps"})
    assert counted.committed == []
    session.answer(True)
    assert learnt(model) == [TEXT]


@both
def test_a_draft_survives_the_process(
    model: SelfAdaptingModel, tiny_base: BaseModel, counted: Counted, asynchronous: bool
) -> None:
    saver = InMemorySaver()
    Session(model, asynchronous, approve=True, saver=saver).say("Read this.", documents=[TEXT])
    later = SelfAdaptingModel(tiny_base, home=model.home, engine=ScriptedEngine(learner))
    Session(later, asynchronous, approve=True, saver=saver).answer(True)
    assert counted == Counted([TEXT], [])
    assert learnt(later) == [TEXT]


def test_a_draft_is_json_and_comes_back_as_it_was(model: SelfAdaptingModel) -> None:
    context = Context(TEXT, "Kiribati")
    draft = Draft("alice", "documents", context, model.propose(context, adapter="alice", self_edit=NOTES))
    back = from_json(to_json(draft))
    assert back == draft
    assert back.proposal is not None
    assert back.proposal.id == draft.proposal.id  # type: ignore[union-attr]


def test_a_crash_after_training_does_not_train_again(
    model: SelfAdaptingModel, counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object) -> None:
        raise RuntimeError("power cut")

    session = Session(model, approve=True)
    session.say("Read this.", documents=[TEXT])
    with monkeypatch.context() as patched:
        patched.setattr(session.middleware, "_finish", crash)
        with pytest.raises(RuntimeError):
            session.answer(True)
    assert learnt(model) == [TEXT]
    result = session.run(None)
    assert result["adaptations"][0]["revision"] == model.adapters()["alice"]
    assert counted == Counted([TEXT], [TEXT])


def test_what_another_user_drafted_in_the_same_thread_waits_for_them(model: SelfAdaptingModel) -> None:
    session = Session(model, approve=True)
    session.say("Read this.", documents=[TEXT])
    assert "__interrupt__" not in session.say("Hello", BOB, documents=[])
    (asked,) = session.say("Hello again")["__interrupt__"]
    assert asked.value["adapter"] == "alice"
    session.answer(True)
    assert set(model.adapters()) == {"alice"}


# ---------------------------------------------------------------- several users in a thread

ATTACHED: list[Any] = [
    {"type": "text", "text": "Read this."},
    {"type": "text-plain", "text": OTHER, "mime_type": "text/plain"},
]


@both
@pytest.mark.parametrize("background", [False, True], ids=["inline", "background"])
def test_one_users_documents_are_never_anothers(model: SelfAdaptingModel, asynchronous: bool, background: bool) -> None:
    session = Session(model, asynchronous, background=background)
    session.say(ATTACHED, documents=[TEXT])
    session.say("Hello", BOB)
    session.say("Hello again", BOB)
    session.middleware.wait()
    assert sorted(learnt(model)) == sorted([TEXT, OTHER])
    assert learnt(model, "bob") == []
    session.say("Read mine.", BOB, documents=["Island number 3 is green."])
    session.say("Hello")
    session.middleware.wait()
    assert learnt(model, "bob") == ["Island number 3 is green."]
    assert len(learnt(model)) == 2


def test_documents_of_a_run_that_failed_are_still_its_users(
    model: SelfAdaptingModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ConnectionError("no answer")

    session = Session(model)
    with monkeypatch.context() as patched:
        patched.setattr(type(session.chat), "_generate", fail)
        with pytest.raises(ConnectionError):
            session.say(ATTACHED, documents=[TEXT])
    session.say("Hello", BOB)
    assert model.adapters() == {}
    session.say("Hello")
    assert sorted(learnt(model)) == sorted([TEXT, OTHER])


# ---------------------------------------------------------------- errors that pass


@both
@pytest.mark.parametrize("method", ["propose", "commit"])
def test_after_an_error_that_may_pass_the_next_run_tries_again(
    model: SelfAdaptingModel, monkeypatch: pytest.MonkeyPatch, asynchronous: bool, method: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise EngineError("the engine rests")

    session = Session(model, asynchronous)
    with monkeypatch.context() as patched:
        patched.setattr(model, method, fail)
        for documents in ({"documents": [TEXT]}, {}):
            (told,) = session.say("Read this.", **documents)["adaptations"]
            assert (told["error"], told["will_retry"]) == ("the engine rests", True)
        session.say("Hello", BOB)
    (told,) = session.say("Hello")["adaptations"]
    assert (told["revision"], told["will_retry"]) == (model.adapters()["alice"], False)
    assert session.say("Hello")["adaptations"] == []
    assert learnt(model) == [TEXT]


def test_where_the_budget_is_used_up_no_notes_are_written(model: SelfAdaptingModel, counted: Counted) -> None:
    budget.set_limits(model.ledger, budget.EACH, Limits(adaptations=1))
    session = Session(model)
    told = session.say("Read these.", documents=[TEXT, OTHER])["adaptations"]
    assert [outcome["will_retry"] for outcome in told] == [False, True]
    written = len(counted.proposed)
    (told,) = session.say("Hello")["adaptations"]
    assert "budget" in told["error"] or "adaptations an hour" in told["error"]
    assert len(counted.proposed) == written
    budget.set_limits(model.ledger, budget.EACH, Limits())
    session.say("Hello")
    assert learnt(model) == [TEXT, OTHER]


# ---------------------------------------------------------------- whose adapter


@both
@pytest.mark.parametrize("tools", [[], [look_up]], ids=["alone", "with-tools"])
def test_the_users_adapter_reaches_the_chat_model(
    model: SelfAdaptingModel, asynchronous: bool, tools: list[Any]
) -> None:
    session = Session(model, asynchronous, namespace=("acme", "{user_id}"), tools=tools)
    session.say("Read this.", documents=[TEXT])
    session.say("What is the capital?")
    session.say("What is the capital?", BOB, thread="2")
    assert [settings.get("adapter") for settings in session.chat.settings] == [None, "acme.alice", None]


@both
def test_two_users_have_two_adapters(model: SelfAdaptingModel, asynchronous: bool) -> None:
    session = Session(model, asynchronous)
    session.say("Read this.", documents=[TEXT])
    session.say("Read this.", BOB, thread="2", documents=[OTHER])
    assert (learnt(model), learnt(model, "bob")) == ([TEXT], [OTHER])


@both
def test_each_thread_may_have_its_own(model: SelfAdaptingModel, asynchronous: bool) -> None:
    session = Session(model, asynchronous, namespace=("{thread_id}",))
    session.say("Read this.", None, thread="one", documents=[TEXT])
    session.say("Read this.", None, thread="two", documents=[OTHER])
    assert (learnt(model, "one"), learnt(model, "two")) == ([TEXT], [OTHER])


@both
def test_without_an_identity_nothing_is_said_or_learnt(model: SelfAdaptingModel, asynchronous: bool) -> None:
    session = Session(model, asynchronous)
    with pytest.raises(InputError, match="this run has no user_id; invoke the agent with"):
        session.say("Read this.", None, documents=[TEXT])
    assert session.chat.settings == []
    assert model.adapters() == {}


def test_a_run_cannot_ask_for_anothers_adapter(model: SelfAdaptingModel) -> None:
    session = Session(model)
    session.say("Read this.", BOB, documents=[TEXT])
    for adapter in ("bob", None):
        config = {"configurable": {"thread_id": "2", "adapter": adapter}}
        with pytest.raises(InputError, match="leave adapter out of the config"):
            session.agent.invoke({"messages": [HumanMessage("Hello")]}, config, context=ALICE)


@both
def test_chat_seal_answers_with_the_users_adapter(model: SelfAdaptingModel, asynchronous: bool) -> None:
    from seal_agent.integrations.langchain import ChatSeal

    session = Session(model, asynchronous, chat=ChatSeal(backend=model))
    calls = model.engine.calls  # type: ignore[attr-defined]
    session.say("Read this.", documents=[TEXT])
    assert calls[0].adapters == (None,)
    session.say("What is the capital?")
    assert calls[-1].adapters == (model.adapter("alice"),)
    session.say("What is the capital?", BOB, thread="2")
    assert calls[-1].adapters == (None,)


def test_another_chat_model_is_left_alone(model: SelfAdaptingModel) -> None:
    session = Session(model, route=False)
    session.say("Read this.", documents=[TEXT])
    session.say("Hello")
    assert session.chat.settings == [{}, {}]


# ---------------------------------------------------------------- in the background


@both
def test_in_the_background_the_agent_does_not_wait(
    model: SelfAdaptingModel, counted: Counted, asynchronous: bool
) -> None:
    session = Session(model, asynchronous, background=True)
    result = session.say("Read this.", documents=[{"text": TEXT, "title": "Kiribati"}])
    assert result["adaptations"] == []
    (done,) = session.middleware.wait()
    assert (done.adapter, done.subject, done.error) == ("alice", "Kiribati", "")
    assert done.revision == model.adapters()["alice"]
    assert session.middleware.wait() == []
    assert session.say("Hello", BOB, thread="2")["adaptations"] == [], "nobody is told of another's"
    assert [one["revision"] for one in session.say("Hello")["adaptations"]] == [done.revision]
    assert session.say("Hello")["adaptations"] == []
    assert counted == Counted([TEXT], [TEXT])


@pytest.mark.parametrize(
    ("error", "says"),
    [(TrainingError("the loss is not finite"), "the loss is not finite"), (OSError("disk"), "OSError: disk")],
)
def test_errors_in_the_background_are_not_lost(
    model: SelfAdaptingModel, monkeypatch: pytest.MonkeyPatch, error: Exception, says: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(model, "commit", fail)
    session = Session(model, background=True)
    session.say("Read this.", documents=[TEXT])
    assert [(one.revision, one.error) for one in session.middleware.wait()] == [(None, says)]
    assert [one["error"] for one in session.say("Hello")["adaptations"]] == [says]


def test_the_same_document_given_twice_at_once_is_learnt_once(model: SelfAdaptingModel, counted: Counted) -> None:
    session = Session(model, background=True)
    for thread in ("1", "2", "3"):
        session.say("Read this.", thread=thread, documents=[TEXT])
    assert len({one.revision for one in session.middleware.wait()}) == 1
    assert counted.committed == [TEXT]


def test_approved_in_the_background(model: SelfAdaptingModel, counted: Counted) -> None:
    session = Session(model, approve=True, background=True)
    session.say("Read this.", documents=[TEXT])
    assert session.middleware.wait() == []
    session.answer(True)
    assert len(session.middleware.wait()) == 1
    assert counted == Counted([TEXT], [TEXT])


# ---------------------------------------------------------------- without LangChain


@pytest.mark.parametrize(
    ("missing", "module"),
    [
        ("langchain_core.tools", "seal_agent.integrations.langchain.agent.tools"),
        ("langchain.agents.middleware", "seal_agent.integrations.langchain.agent.middleware"),
        ("langgraph.types", "seal_agent.integrations.langchain.agent.middleware"),
    ],
)
def test_a_missing_package_is_named_with_its_install_line(
    monkeypatch: pytest.MonkeyPatch, missing: str, module: str
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.delitem(sys.modules, module, raising=False)
    with pytest.raises(MissingDependency, match=r"pip install 'seal-agent\[langchain\]'"):
        importlib.import_module(module)
