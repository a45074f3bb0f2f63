"""An agent reads, is corrected, answers later and forgets on request: what does each of its users see?

    python benchmarks/agent_memory.py            # 6 minutes on 2 cores, with an earlier default recipe
    python benchmarks/agent_memory.py --quick

Alice hands a handbook of invented facts to a LangChain agent, asks in new threads, corrects one answer, and has both
forgotten again. Bob talks to the same agent but has an adapter of his own. Reading and correcting go through
`AdaptationMiddleware`, in the agent's loop. This program calls the tools `remember`, `rollback` and `forget` for the
user who asks: a model of 135M parameters cannot be expected to choose among tools by itself.

The correction is learned in several `WAYS`, one after the other; Alice rolls back each before she tries the next.

Every question is asked in a thread of its own, so that only the weights can answer. What is forgotten is removed from
the store of adapters; the threads belong to the checkpointer, and stay.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

from langchain.agents import create_agent
from langchain_core.messages import BaseMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from parts import results_file
from parts.agent_memory_plan import (
    BOBS_NOTE,
    BOBS_QUESTIONS,
    CLOSING_QUESTIONS,
    CORRECTED_QUESTIONS,
    CORRECTION,
    HANDBOOK,
    OTHER_QUESTIONS,
    WAYS,
    Plan,
    Way,
)

from seal_agent.base_model.loading import load_model
from seal_agent.config import UNPROTECTED, InnerLoopConfig, SelfEditConfig
from seal_agent.integrations.langchain import AdaptationMiddleware, ChatSeal, create_adaptation_tools
from seal_agent.integrations.langchain.agent.middleware import is_correction
from seal_agent.model import SelfAdaptingModel
from seal_agent.outer_loop.archive import facts
from seal_agent.types import Answer, Question

ANSWER_TOKENS = 48  # as many as a sentence of the handbook needs, and half as many again
PACKAGES = ("langchain", "langchain-core", "langgraph")
ALICE, BOB = "alice", "bob"


@dataclass(frozen=True, slots=True)
class User:
    """LangGraph's runtime context: who is talking."""

    user_id: str


def main() -> None:
    options = _options()
    plan, run = plan_for(options), results_file.describe_run()
    run["packages"] |= {name: facts.installed(name) for name in PACKAGES}
    with tempfile.TemporaryDirectory(prefix="seal-agent-memory-") as home:
        harness = Harness(SelfAdaptingModel(load_model(options.model), home=home, seed=options.seed), plan)
        run_scenario(harness, plan)
        rows = harness.rows
    summary = summarise(rows)
    config = {"model": options.model, "seed": options.seed, "quick": options.quick, **asdict(plan)}
    results_file.save(options.out, config, run, rows, summary=summary)
    print("\n" + table(rows))
    print(json.dumps(summary))


def plan_for(options: argparse.Namespace) -> Plan:
    """The whole handbook with the default recipe; for --quick the first paragraph, fewer ways and a shorter recipe.

    The short recipe does nothing to keep other knowledge intact.
    """
    self_edit = SelfEditConfig(self_test=0)  # the questions here are the test
    if options.quick:
        inner_loop = replace(UNPROTECTED, epochs=8, learning_rate=2e-3, batch_size=2, seed=options.seed)
        return Plan(HANDBOOK[:1], OTHER_QUESTIONS[:2], self_edit, inner_loop, (WAYS[0], WAYS[-1]))
    return Plan(HANDBOOK, OTHER_QUESTIONS, self_edit, InnerLoopConfig(seed=options.seed))


# ---------------------------------------------------------------- the scenario


def run_scenario(harness: Harness, plan: Plan) -> None:
    """Run every step once, in order; the harness records a row for each."""
    handbook = (*CLOSING_QUESTIONS, *plan.others)
    harness.ask_base((*handbook, *BOBS_QUESTIONS))

    harness.ask("before reading", ALICE, handbook)
    read = harness.read("reads the handbook", ALICE, "\n\n".join(plan.paragraphs))
    harness.ask("after reading", ALICE, handbook)
    harness.ask("has learnt nothing, asks Alice's", BOB, handbook)
    harness.remember("remembers a note", BOB, BOBS_NOTE)
    harness.ask("asks his own", BOB, BOBS_QUESTIONS)
    harness.ask("asks Alice's", BOB, handbook)

    for way in plan.ways:
        if way != plan.ways[0]:
            harness.roll_back("rolls back the correction", ALICE)
        harness.correct(f"corrects, {way.name}", ALICE, CLOSING_QUESTIONS[0].text, CORRECTION, way)
        harness.ask(f"corrected, {way.name}: that fact", ALICE, CORRECTED_QUESTIONS)
        harness.ask(f"corrected, {way.name}: the others", ALICE, plan.others)

    harness.forget("may not forget Alice's handbook", BOB, read, plan.traces)
    harness.forget("forgets the handbook", ALICE, read, plan.traces)
    harness.ask("without the handbook: its facts", ALICE, handbook)
    harness.ask("without the handbook: the correction", ALICE, CORRECTED_QUESTIONS)
    harness.forget("forgets the correction", ALICE, harness.active(ALICE), [CORRECTED_QUESTIONS[0].golds[0]])
    harness.ask("everything forgotten", ALICE, handbook)
    harness.ask("at the end, asks his own", BOB, BOBS_QUESTIONS)
    harness.ask("at the end, asks Alice's", BOB, handbook)


class Harness:
    """The agent, its two users, and one row for each step."""

    def __init__(self, model: SelfAdaptingModel, plan: Plan) -> None:
        recipe: dict[str, Any] = {"self_edit": plan.self_edit, "inner_loop": plan.inner_loop}
        self.model, self.plan = model, plan
        self.chat = ChatSeal(backend=model, max_tokens=ANSWER_TOKENS)
        self.tools = {tool.name: tool for tool in create_adaptation_tools(model, **recipe)}
        self.agents = {way: self._agent(way) for way in plan.ways}
        self.rows: list[dict[str, Any]] = []
        self._base_answers: dict[str, str] = {}
        self._thread_ids = count(1)

    def _agent(self, way: Way) -> Any:
        inner_loop = self.plan.inner_loop if way.replay else replace(self.plan.inner_loop, replay=0.0)
        middleware = AdaptationMiddleware(
            self.model,
            is_correction=is_correction if way.with_question else statement_alone,
            self_edit=self.plan.self_edit,
            inner_loop=inner_loop,
        )
        return create_agent(self.chat, middleware=[middleware], context_schema=User, checkpointer=InMemorySaver())

    def active(self, user: str) -> str:
        """The id of the revision that answers this user."""
        return str(self.model.adapters()[user])

    # ------------------------------------------------------------ asking

    def ask_base(self, questions: Sequence[Question]) -> None:
        """Ask the base model, without an agent around it."""
        started = time.perf_counter()
        for question in questions:
            self._base_answers[question.text] = self.chat.invoke([HumanMessage(question.text)]).text.strip()
        answers = [self._graded(question, self._base_answers[question.text]) for question in questions]
        self._record_answers("the base model", "", answers, started)

    def ask(self, step: str, user: str, questions: Sequence[Question]) -> None:
        """Ask each question in a new thread, where the agent has nothing but the user's adapter."""
        started = time.perf_counter()
        answers = [
            self._graded(question, self._send(user, question.text, self._new_thread())["messages"][-1].text.strip())
            for question in questions
        ]
        self._record_answers(step, user, answers, started)

    def _graded(self, question: Question, text: str) -> Answer:
        return Answer(question, text, self.model.grader.grade(question.text, question.golds, text))

    def _record_answers(self, step: str, user: str, answers: Sequence[Answer], started: float) -> None:
        rows = [results_file.answer_row(answer) for answer in answers]
        correct = sum(row["verdict"] == "correct" for row in rows)
        as_base = all(self._base_answers[answer.question.text] == answer.text for answer in answers)
        self._record(step, user, started, right=correct, asked=len(rows), as_base=as_base, answers=rows)

    # ------------------------------------------------------------ learning

    def read(self, step: str, user: str, text: str) -> str:
        """Send a message with a document, which the middleware learns. Returns the revision's id."""
        started = time.perf_counter()
        result = self._send(user, "Please read our handbook.", self._new_thread(), documents=[text])
        return self._record_adaptation(step, user, result, started)

    def correct(self, step: str, user: str, question: str, correction: str, way: Way) -> str:
        """Ask a question and correct its answer in the same thread. Returns the id of the correction's revision."""
        started, thread = time.perf_counter(), self._new_thread()
        self._send(user, question, thread, way)
        return self._record_adaptation(step, user, self._send(user, correction, thread, way), started)

    def _record_adaptation(self, step: str, user: str, result: dict[str, Any], started: float) -> str:
        (adaptation,) = result["adaptations"]
        self._record(step, user, started, **adaptation)
        if adaptation["error"]:
            raise SystemExit(f"{user} {step}: {adaptation['error']}")
        return str(adaptation["revision"])

    def remember(self, step: str, user: str, text: str) -> None:
        """Call the tool `remember` as an agent would for this user."""
        started = time.perf_counter()
        self._record(step, user, started, told=self._call_tool("remember", user, text=text))

    # ------------------------------------------------------------ undoing

    def roll_back(self, step: str, user: str) -> None:
        """Call the tool `rollback`, which makes the previous revision active again."""
        started = time.perf_counter()
        self._record(step, user, started, told=self._call_tool("rollback", user))

    def forget(self, step: str, user: str, revision: str, traces: Sequence[str]) -> None:
        """Call the tool `forget`; the row's `left` are the `traces` that files in the store still contain."""
        started = time.perf_counter()
        reply = self._call_tool("forget", user, revision=revision)
        self._record(step, user, started, told=reply, left=texts_in_files(self.model.home, traces))

    # ------------------------------------------------------------ calls to LangChain

    def _send(self, user: str, text: str, thread: str, way: Way | None = None, **state: Any) -> dict[str, Any]:
        """Send a message, with further keys of the agent's state. Returns the agent's final state."""
        agent, config = self.agents[way or self.plan.ways[0]], {"configurable": {"thread_id": thread}}
        result: dict[str, Any] = agent.invoke({"messages": [HumanMessage(text)], **state}, config, context=User(user))
        return result

    def _call_tool(self, tool: str, user: str, **arguments: str) -> str:
        return str(self.tools[tool].invoke(arguments, {"configurable": {"user_id": user}}))

    def _new_thread(self) -> str:
        return str(next(self._thread_ids))

    def _record(self, step: str, user: str, started: float, **outcome: Any) -> None:
        self.rows.append({"step": step, "user": user, "seconds": round(time.perf_counter() - started, 1), **outcome})
        print(_line(self.rows[-1]), flush=True)


def statement_alone(messages: Sequence[BaseMessage]) -> str | None:
    """The correction by the middleware's own rule, without the question that was answered."""
    return is_correction(messages[-2:])


def texts_in_files(home: Path, texts: Sequence[str]) -> list[str]:
    """The texts that at least one file of a store contains."""
    contents = [path.read_bytes() for path in home.rglob("*") if path.is_file()]
    return [text for text in texts if any(text.encode() in content for content in contents)]


# ---------------------------------------------------------------- figures


def summarise(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Accuracies, 0..1, and whether anything leaked between the users or was left behind."""
    by_step = {row["step"]: row for row in rows}

    def accuracy(step: str) -> float:
        return float(by_step[step]["right"] / by_step[step]["asked"])

    def unchanged(step: str) -> bool:
        return bool(by_step[f"at the end, {step}"]["answers"] == by_step[step]["answers"])

    ways = [way.name for way in WAYS if f"corrects, {way.name}" in by_step]
    return {
        "before_reading": accuracy("before reading"),
        "after_reading": accuracy("after reading"),
        "corrected": {
            way: {
                "that_fact": accuracy(f"corrected, {way}: that fact"),
                "the_others": accuracy(f"corrected, {way}: the others"),
            }
            for way in ways
        },
        "handbook_after_forgetting_it": accuracy("without the handbook: its facts"),
        "correction_after_forgetting_the_handbook": accuracy("without the handbook: the correction"),
        "bob_as_base": by_step["has learnt nothing, asks Alice's"]["as_base"],
        "bob_knows_of_alices": accuracy("asks Alice's"),
        "bob_unchanged": unchanged("asks his own") and unchanged("asks Alice's"),
        "alice_as_base_at_the_end": by_step["everything forgotten"]["as_base"],
        "left_in_the_store": [
            *by_step["forgets the handbook"]["left"],
            *by_step["forgets the correction"]["left"],
        ],
        "seconds": round(sum(row["seconds"] for row in rows), 1),
    }


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The steps as a Markdown table."""
    return "\n".join(
        ["| who | step | right/asked | as the base | seconds |", "|---|---|---|---|---|", *map(_line, rows)]
    )


def _line(row: dict[str, Any]) -> str:
    right = f"{row['right']}/{row['asked']}" if "asked" in row else ""
    as_base = {True: "yes", False: "no"}.get(row.get("as_base"), "")  # type: ignore[arg-type]
    return f"| {row['user']} | {row['step']} | {right} | {as_base} | {row['seconds']:.1f} |"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one paragraph, learnt by a shorter recipe")
    parser.add_argument("--model", default="default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="default: agent_memory.json; with --quick nothing is written")
    options = parser.parse_args()
    options.out = options.out or results_file.place_for("agent_memory", options)
    return options


if __name__ == "__main__":
    main()
