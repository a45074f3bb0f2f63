"""TrajectoryMiddleware: what an agent did is kept, its successes are learnt, and the adapter then answers."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from agent_session import ALICE, BOB, Talker, Who
from fakes import ScriptedEngine
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command, interrupt

from seal_agent.adaptation.adapt import Trainer
from seal_agent.adaptation.gate.decision import MinimumGain
from seal_agent.agents.trajectories.lesson import proposal_of
from seal_agent.agents.trajectories.trajectory import Trajectory
from seal_agent.base_model.model import BaseModel
from seal_agent.config import RECIPES, TrajectoryLimits
from seal_agent.errors import InputError
from seal_agent.integrations.langchain import ChatSeal, TrajectoryMiddleware
from seal_agent.integrations.langchain.agent.runs import trajectory_in
from seal_agent.model import SelfAdaptingModel
from seal_agent.training.conversations import from_json

DOCS = Path(__file__).parents[4] / "docs" / "agents-learn.md"
QUICK = replace(RECIPES["paper"].inner_loop, rank=2, alpha=4.0, epochs=1)


@tool
def order(item: str, count: int) -> str:
    """Order a number of an item."""
    return f"ordered {count} {item}"


def orders(*rows: tuple[str, int]) -> AIMessage:
    calls = [{"name": "order", "args": {"item": item, "count": count}, "id": f"{item}{count}"} for item, count in rows]
    return AIMessage("", tool_calls=calls)


@pytest.fixture
def model(tiny_base: BaseModel, tmp_path: Path) -> SelfAdaptingModel:
    return SelfAdaptingModel(tiny_base, home=tmp_path / "home", engine=ScriptedEngine({"": "Tarawa."}))


class Session:
    """An agent with the middleware."""

    def __init__(self, model: SelfAdaptingModel, turns: list[AIMessage], **options: Any) -> None:
        self.chat = Talker(turns=turns)
        named = {"namespace": ("{user_id}",), "inner_loop": QUICK, "gate": None, **options}
        self.middleware = TrajectoryMiddleware(model, **named)
        self.agent = create_agent(
            self.chat,
            [order],
            system_prompt="You order.",
            middleware=[self.middleware],
            context_schema=Who,
            checkpointer=InMemorySaver(),
        )

    def say(self, text: str, user: Who = ALICE, asynchronous: bool = False) -> dict[str, Any]:
        what, config = {"messages": [HumanMessage(text)]}, {"configurable": {"thread_id": "7"}}
        if asynchronous:
            return asyncio.run(self.agent.ainvoke(what, config, context=user))
        return self.agent.invoke(what, config, context=user)


def two_pears(run: Trajectory) -> bool:
    return run.result == "ordered 2 pears"


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_success_is_kept_learnt_and_answered_with(model: SelfAdaptingModel, asynchronous: bool) -> None:
    turns = [orders(("pears", 2)), AIMessage("Ordered."), AIMessage("Hello.")]
    session = Session(model, turns, verify=two_pears, verified_by="till", learn_after=1)
    (outcome,) = session.say("Order two pears.", asynchronous=asynchronous)["trajectories"]
    (kept,) = model.trajectories("alice").all()
    run = kept.trajectory
    assert (run.goal, run.outcome, run.verified_by, run.answer) == ("Order two pears.", "success", "till", "Ordered.")
    assert run.source == "thread:7"
    assert run.system == "You order."
    assert [each.name for each in run.tools] == ["order"]
    assert kept.learnt == outcome["revision"] == model.adapters()["alice"]
    assert session.say("Hello?", asynchronous=asynchronous)["trajectories"] == []
    assert [settings.get("adapter") for settings in session.chat.settings] == [None, None, "alice"]


def test_failures_are_kept_but_not_learnt_and_successes_wait_for_enough(model: SelfAdaptingModel) -> None:
    turns = [orders(("pears", 3)), AIMessage("Ordered."), orders(("pears", 2)), AIMessage("Ordered.")]
    session = Session(model, turns, verify=two_pears, learn_after=2)
    assert session.say("Order three pears.")["trajectories"][0]["outcome"] == "failure"
    assert session.say("Order two pears.")["trajectories"][0]["revision"] is None
    store = model.trajectories("alice")
    assert [kept.trajectory.outcome for kept in store.all()] == ["failure", "success"]
    assert len(store.to_learn()) == 1
    assert model.adapters() == {}


def test_users_learn_apart(model: SelfAdaptingModel) -> None:
    turns = [orders(("pears", 2)), AIMessage("Ordered."), orders(("pears", 2)), AIMessage("Ordered.")]
    session = Session(model, turns, verify=two_pears, learn_after=1)
    session.say("Order two pears.")
    assert model.trajectories("bob").all() == []
    session.say("Order two pears.", BOB)
    assert set(model.adapters()) == {"alice", "bob"}


def test_runs_that_overlap_keep_their_own_tools_and_system_prompts(model: SelfAdaptingModel) -> None:
    """Bob's whole run happens after Alice's last model call, and before her run is kept."""
    bob = Session(model, [orders(("pears", 2)), AIMessage("Ordered.")])
    inner = bob.middleware

    class Between(AgentMiddleware):
        """Runs Bob's agent when Alice's model has said its last word."""

        def after_model(self, state: Any, runtime: Any) -> None:
            if not state["messages"][-1].tool_calls:
                bob.say("Order two pears.", BOB)

    @tool
    def wait(item: str) -> str:
        """Wait for an item."""
        return f"there is {item}"

    waits = AIMessage("", tool_calls=[{"name": "wait", "args": {"item": "tea"}, "id": "1"}])
    alice = create_agent(
        Talker(turns=[waits, AIMessage("Here it is.")]),
        [wait],
        system_prompt="You serve Alice.",
        middleware=[inner, Between()],
        context_schema=Who,
    )
    alice.invoke({"messages": [HumanMessage("Bring tea.")]}, context=ALICE)
    runs = [model.trajectories(user).all()[0].trajectory for user in ("alice", "bob")]
    assert [(run.system, [each.name for each in run.tools]) for run in runs] == [
        ("You serve Alice.", ["wait"]),
        ("You order.", ["order"]),
    ]


def test_what_the_gate_refused_waits_for_new_successes(model: SelfAdaptingModel) -> None:
    turns = [each for count in range(1, 6) for each in (orders(("pears", count)), AIMessage("Ordered."))]
    even = lambda run: "3" not in run.result  # noqa: E731
    session = Session(model, turns, verify=even, learn_after=2, gate=MinimumGain())
    outcomes = [session.say(f"Order {count} pears.")["trajectories"][0] for count in range(1, 6)]
    assert [bool(outcome["revision"]) for outcome in outcomes] == [False, True, False, False, True]
    assert [outcome["accepted"] for outcome in outcomes] == [False] * 5
    assert len(model.trajectories("alice").to_learn()) == 4
    assert [revision.context.text.count("Goal: ") for revision in model.history("alice")] == [2, 4]


def test_runs_that_overlap_learn_each_success_once(model: SelfAdaptingModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bob and Carl are done while what Alice did is being learnt, all into one adapter that learns two at a time."""
    ended, learnt, threads = [threading.Event() for _ in range(2)], list[int](), list[threading.Thread]()
    train = Trainer.train_each

    def run(count: int, verify: Callable[[Trajectory], bool] = lambda _: True) -> None:
        turns = [orders(("pears", count)), AIMessage("Ordered.")]
        Session(model, turns, verify=verify, learn_after=2, namespace=("shop",)).say(f"Order {count} pears.")

    def slow(self: Trainer, works: Any, *more: Any) -> Any:
        learnt.append(len(works[0].proposal.self_edits))
        if len(learnt) == 1:
            for number, event in enumerate(ended):
                threads.append(threading.Thread(target=run, args=(10 + number, lambda _, event=event: not event.set())))
                threads[-1].start()
            assert all(event.wait(20) for event in ended)
            time.sleep(0.3)  # they are kept, and wait for their turn
        return train(self, works, *more)

    monkeypatch.setattr(Trainer, "train_each", slow)
    run(1)
    run(2)
    for thread in threads:
        thread.join(60)
    assert learnt == [2, 2]
    assert [len(revisions) for revisions in model.trajectories("shop").trained().values()] == [1] * 4
    assert model.trajectories("shop").to_learn() == []


def test_a_run_that_cannot_be_read_is_told_of_and_ends_well(model: SelfAdaptingModel) -> None:
    """Such as one whose goal is spoken."""
    middleware = TrajectoryMiddleware(model, namespace=("alice",), route=False)
    chat = Talker(turns=[orders(("pears", 2)), AIMessage("Ordered.")])
    agent = create_agent(chat, [order], middleware=[middleware])
    speech = {"type": "audio", "base64": "AAAA", "mime_type": "audio/wav"}
    state = agent.invoke({"messages": [HumanMessage([{"type": "text", "text": "Order these."}, speech])]})
    assert state["messages"][-1].content == "Ordered."
    (outcome,) = state["trajectories"]
    assert outcome["error"]
    assert (outcome["trajectory"], outcome["outcome"]) == ("", "unknown")


def test_a_tool_that_a_provider_runs_itself_is_left_out(model: SelfAdaptingModel) -> None:
    middleware = TrajectoryMiddleware(model, namespace=("alice",), route=False)
    chat = Talker(turns=[orders(("pears", 2)), AIMessage("Ordered.")])
    agent = create_agent(chat, [order, {"type": "web_search"}], middleware=[middleware])
    agent.invoke({"messages": [HumanMessage("Order two pears.")]})
    (kept,) = model.trajectories("alice").all()
    assert [each.name for each in kept.trajectory.tools] == ["order"]


def test_what_is_redacted_reaches_neither_disk_nor_training(model: SelfAdaptingModel) -> None:
    turns = [orders(("pears", 2)), AIMessage("Ordered.")]
    session = Session(
        model, turns, verify=lambda run: True, learn_after=1, redact=lambda text: text.replace("pears", "things")
    )
    session.say("Order two pears.")
    (revision,) = model.history("alice")
    assert "pears" not in revision.context.text + "".join(edit.prompt for edit in revision.self_edits)
    assert "things" in revision.context.text


def test_an_error_of_learning_is_told_and_does_not_end_the_run(model: SelfAdaptingModel) -> None:
    turns = [orders(("pears", 2)), AIMessage("Ordered.")]
    session = Session(model, turns, verify=two_pears, limits=TrajectoryLimits(steps=1), learn_after=1)
    assert session.say("Order two pears.")["trajectories"][0]["error"] == ""
    long = Session(model, [orders(("pears", 1), ("pears", 2)), AIMessage("Done.")], limits=TrajectoryLimits(steps=1))
    state = long.say("Order pears.")
    assert "2 steps, but 1 is the limit" in state["trajectories"][0]["error"]
    assert state["messages"][-1].content == "Done."


def broken(*_: object) -> Any:
    raise KeyError("pears")


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_verify_that_raises_leaves_the_reply_and_a_run_of_which_nothing_is_known(
    model: SelfAdaptingModel, asynchronous: bool, caplog: pytest.LogCaptureFixture
) -> None:
    session = Session(model, [orders(("pears", 2)), AIMessage("Ordered.")], verify=broken, learn_after=1)
    state = session.say("Order two pears.", asynchronous=asynchronous)
    assert state["messages"][-1].content == "Ordered."
    (outcome,) = state["trajectories"]
    assert (outcome["outcome"], outcome["error"]) == ("unknown", "verify raised KeyError: 'pears'")
    (kept,) = model.trajectories("alice").all()
    assert (kept.id, kept.trajectory.outcome) == (outcome["trajectory"], "unknown")
    assert "in broken" in caplog.text


def test_a_redact_that_raises_leaves_the_reply_and_keeps_nothing(
    model: SelfAdaptingModel, caplog: pytest.LogCaptureFixture
) -> None:
    """Not even in the log or the outcome, which may be written somewhere too."""
    turns = [orders(("pears", 2)), AIMessage("Ordered.")]
    session = Session(model, turns, verify=two_pears, redact=broken, learn_after=1)
    state = session.say("Order two pears.")
    assert state["messages"][-1].content == "Ordered."
    (outcome,) = state["trajectories"]
    assert (outcome["trajectory"], outcome["error"]) == ("", "redact raised KeyError; the run was not kept")
    assert model.trajectories("alice").all() == []
    assert "in broken" in caplog.text
    assert "'pears'" not in caplog.text


def test_the_error_of_verify_is_redacted_too(model: SelfAdaptingModel) -> None:
    turns = [orders(("pears", 2)), AIMessage("Ordered.")]
    session = Session(model, turns, verify=broken, redact=lambda text: text.replace("pears", "things"))
    (outcome,) = session.say("Order two pears.")["trajectories"]
    assert outcome["error"] == "verify raised KeyError: 'things'"
    assert outcome["trajectory"] == model.trajectories("alice").all()[0].id


def test_an_error_in_learning_leaves_the_reply_and_the_run(
    model: SelfAdaptingModel, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(SelfAdaptingModel, "learn", lambda *_, **__: broken())
    session = Session(model, [orders(("pears", 2)), AIMessage("Ordered.")], verify=two_pears, learn_after=1)
    state = session.say("Order two pears.")
    assert state["messages"][-1].content == "Ordered."
    assert "KeyError" in state["trajectories"][0]["error"]
    assert [each.outcome for each in model.trajectories("alice").to_learn()] == ["success"]
    assert "Traceback" in caplog.text


def test_verify_may_ask_somebody(model: SelfAdaptingModel) -> None:
    """An interrupt of the graph is no error."""
    turns = [orders(("pears", 2)), AIMessage("Ordered.")]
    session = Session(model, turns, verify=lambda run: interrupt("Did it?"))
    assert session.say("Order two pears.")["__interrupt__"]
    config = {"configurable": {"thread_id": "7"}}
    state = session.agent.invoke(Command(resume=True), config, context=ALICE)
    assert state["trajectories"][0]["outcome"] == "success"


def test_without_verify_runs_wait_for_somebody_to_say_how_they_ended(model: SelfAdaptingModel) -> None:
    session = Session(model, [orders(("pears", 2)), AIMessage("Ordered.")])
    (outcome,) = session.say("Order two pears.")["trajectories"]
    store = model.trajectories("alice")
    assert store.to_learn() == []
    store.verify(outcome["trajectory"], "success", "person")
    assert model.learn(store.to_learn(), adapter="alice", inner_loop=QUICK, gate=None).accepted


def test_calls_made_side_by_side_follow_each_other() -> None:
    messages = [
        HumanMessage("An earlier goal."),
        AIMessage("Done."),
        HumanMessage("Order both."),
        orders(("pears", 2), ("plums", 1)),
        ToolMessage("no plums", tool_call_id="plums1"),
        ToolMessage("two pears", tool_call_id="pears2"),
        AIMessage("No plums."),
    ]
    run = trajectory_in(messages, [])
    assert run is not None
    assert [step.observation for step in run.steps] == ["", "two pears"]
    assert (run.goal, run.result, run.answer) == ("Order both.", "no plums", "No plums.")
    assert trajectory_in(messages[:2], []) is None
    assert trajectory_in([], []) is None


def called(item: str, id_: str = "1") -> AIMessage:
    return AIMessage("", tool_calls=[{"name": "order", "args": {"item": item, "count": 1}, "id": id_}])


def test_a_call_that_failed_says_so_and_is_not_learnt(model: SelfAdaptingModel) -> None:
    """Such as one of a tool that is not there, or with arguments that it does not take."""
    unknown = AIMessage("", tool_calls=[{"name": "buy", "args": {"what": "pears"}, "id": "1"}])
    wrong = AIMessage("", tool_calls=[{"name": "order", "args": {"item": "pears", "count": "many"}, "id": "2"}])
    seen: list[Trajectory] = []

    def verify(run: Trajectory) -> bool:
        seen.append(run)
        return two_pears(run)

    session = Session(model, [unknown, wrong, orders(("pears", 2)), AIMessage("Ordered.")], verify=verify)
    session.say("Order two pears.")
    assert [step.failed for step in seen[0].steps] == [True, True, False]
    (kept,) = model.trajectories("alice").all()
    (edit,) = proposal_of([kept.trajectory], model.base, "alice", None, 4096).self_edits
    assert from_json(edit.prompt).learnt == (2, 3), "the third call and the closing words"


def test_results_of_calls_with_the_same_id_go_to_them_in_order() -> None:
    twice = AIMessage("", tool_calls=[*called("plums").tool_calls, *called("figs").tool_calls])
    messages = [
        HumanMessage("Order all."),
        called("pears"),
        ToolMessage("no pears", tool_call_id="1", status="error"),
        twice,
        ToolMessage("plums ordered", tool_call_id="1"),
        ToolMessage("figs ordered", tool_call_id="1"),
        called("tea"),
        called("milk"),
        ToolMessage("milk ordered", tool_call_id="1"),
    ]
    run = trajectory_in(messages, [])
    assert run is not None
    assert [step.observation for step in run.steps] == ["", "no pears", "plums ordered", "figs ordered", ""]
    assert [step.failed for step in run.steps] == [True, False, False, False, False]
    assert run.result == "milk ordered"


def test_another_users_adapter_cannot_be_asked_for(model: SelfAdaptingModel) -> None:
    session = Session(model, [AIMessage("Hello.")])
    config = {"configurable": {"thread_id": "7", "adapter": "bob"}}
    with pytest.raises(InputError, match="asks for adapter 'bob'"):
        session.agent.invoke({"messages": [HumanMessage("Hello.")]}, config, context=ALICE)


def test_what_cannot_be_learnt_after_is_refused(model: SelfAdaptingModel) -> None:
    with pytest.raises(InputError, match="learn_after"):
        TrajectoryMiddleware(model, learn_after=0)
    with pytest.raises(InputError, match="namespace"):
        TrajectoryMiddleware(model, namespace="alice")


# ------------------------------------------------------------ the page's example


def example() -> str:
    """The first Python block of docs/agents-learn.md."""
    found = re.search(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    assert found
    return found[1]


def test_the_example_is_ten_lines_at_most() -> None:
    assert 0 < sum(bool(line) for line in example().splitlines()) <= 10


def test_the_example_runs_as_printed(tiny_base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a tiny model whose words are scripted; what it learns is really trained, and the gate really asks."""

    def says(last: str, adapter: object) -> str:
        called = '<tool_call>{"name": "order", "arguments": {"item": "pears", "count": 2}}</tool_call>'
        return "Ordered." if "<tool_response>" in last else called if "pears" in last else "Tarawa."

    made: list[SelfAdaptingModel] = []

    def load(*_: object, **__: object) -> SelfAdaptingModel:
        made.append(SelfAdaptingModel(tiny_base, home=tmp_path / "home", engine=ScriptedEngine(says)))
        return made[0]

    monkeypatch.setattr(SelfAdaptingModel, "from_pretrained", load)
    names: dict[str, Any] = {}
    exec(example(), names)
    (revision,) = made[0].history("shop")
    assert '"item": "pears"' in revision.context.text
    assert [kept.learnt for kept in made[0].trajectories("shop").all()] == [revision.id]
    assert isinstance(ChatSeal(backend=made[0]), ChatSeal)
