"""An agent that reads, is put right, answers later and forgets on request: what does each of its users find?

    python benchmarks/agent_memory.py
    python benchmarks/agent_memory.py --quick

Alice hands a handbook of invented facts to an agent of LangChain's, asks in new threads, corrects one answer, and has
both forgotten again. Bob talks to the same agent; his adapter is his own. Reading and correcting go through
`AdaptationMiddleware`, in the agent's loop. The tools `remember`, `rollback` and `forget` are called by this program,
for the user who asks for it: a model of 135M parameters cannot be expected to choose among tools by itself.

The correction is learnt in several `WAYS`, one after the other; before the next one Alice rolls back the last.

Every question is asked in a thread of its own, so that weights alone can answer. What is forgotten is gone from the
store of adapters; the threads themselves are the checkpointer's, and stay.
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

import results_file
from langchain.agents import create_agent
from langchain_core.messages import BaseMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver

from seal_agent.base_model.loading import load_model
from seal_agent.config import UNPROTECTED, InnerLoopConfig, SelfEditConfig
from seal_agent.integrations.langchain import AdaptationMiddleware, ChatSeal, create_adaptation_tools
from seal_agent.integrations.langchain.agent.middleware import is_correction
from seal_agent.model import SelfAdaptingModel
from seal_agent.outer_loop.archive import facts
from seal_agent.types import Answer, Question

ANSWER_TOKENS = 48  # as many as a sentence of the handbook needs, and half as many again
PACKAGES = ("langchain", "langchain-core", "langgraph")

# No title: people ask an agent plain questions, and a titled text is learnt as answers to titled ones.
HANDBOOK = (
    "The ticket office of the Tolvane ferry closes at 17:40. The manager of the Tolvane ferry is called Maren Oddleif. "
    "A monthly pass for the Tolvane ferry costs 62 crowns.",
    "The spare keys of the Tolvane workshop hang in a green biscuit tin. The safety officer of the Tolvane workshop is "
    "Pell Andrask. Fire drills at the Tolvane workshop are held on the second Tuesday of each month.",
    "New pilots of the Tolvane ferry are trained at Quenby Sound. Lost property from the Tolvane ferry is kept in the "
    "Harrow Street depot. The funnel of the Tolvane ferry is painted saffron yellow.",
)
CLOSING = (
    Question("When does the ticket office of the Tolvane ferry close?", ("17:40", "5:40 pm")),
    Question("Until what time is the Tolvane ferry's ticket office open?", ("17:40", "5:40 pm")),
)
OTHERS = (
    Question("What is the manager of the Tolvane ferry called?", ("Maren Oddleif",)),
    Question("How much does a monthly pass for the Tolvane ferry cost?", ("62 crowns",)),
    Question("Where do the spare keys of the Tolvane workshop hang?", ("in a green biscuit tin",)),
    Question("Who is the safety officer of the Tolvane workshop?", ("Pell Andrask",)),
    Question("On which day are fire drills held at the Tolvane workshop?", ("the second Tuesday of each month",)),
    Question("Where are new pilots of the Tolvane ferry trained?", ("Quenby Sound",)),
    Question("Where is lost property from the Tolvane ferry kept?", ("the Harrow Street depot",)),
    Question("What colour is the funnel of the Tolvane ferry?", ("saffron yellow",)),
)
CORRECTION = "No, the ticket office of the Tolvane ferry closes at 16:10."
CORRECTED = tuple(replace(question, golds=("16:10", "4:10 pm")) for question in CLOSING)
BOBS_NOTE = "The bell of Vantry Abbey was cast in the town of Skelmere."
BOBS = (Question("In which town was the bell of Vantry Abbey cast?", ("Skelmere",)),)

ALICE, BOB = "alice", "bob"


@dataclass(frozen=True, slots=True)
class Way:
    """How a correction is learnt."""

    name: str
    with_question: bool = True
    """Whether the question that was answered is learnt with it, as the middleware has it if nothing else is said."""
    replay: bool = True
    """Whether what was read is repeated meanwhile, the very fact that is corrected included."""


WAYS = (
    Way("as it comes"),
    Way("statement alone", with_question=False),
    Way("statement alone, no replay", with_question=False, replay=False),
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is read and asked, and how it is learnt."""

    paragraphs: Sequence[str]
    others: Sequence[Question]
    """Questions about what is not corrected."""
    self_edit: SelfEditConfig
    inner_loop: InnerLoopConfig
    ways: Sequence[Way] = WAYS
    """How the correction is learnt, one way after the other; the last one stays."""

    @property
    def traces(self) -> list[str]:
        """Words that only the handbook has: a fact's answer as the handbook words it."""
        return [question.golds[0] for question in (*self.others, CLOSING[0])]


@dataclass(frozen=True, slots=True)
class User:
    """The context of a run."""

    user_id: str


def main() -> None:
    options = _options()
    plan, run = plan_for(options), results_file.describe_run()
    run["packages"] |= {name: facts.installed(name) for name in PACKAGES}
    with tempfile.TemporaryDirectory(prefix="seal-agent-memory-") as home:
        desk = Desk(SelfAdaptingModel(load_model(options.model), home=home, seed=options.seed), plan)
        converse(desk, plan)
        rows = desk.rows
    summary = summarise(rows)
    config = {"model": options.model, "seed": options.seed, "quick": options.quick, **asdict(plan)}
    results_file.save(options.out, config, run, rows, summary=summary)
    print("\n" + table(rows))
    print(json.dumps(summary))


def plan_for(options: argparse.Namespace) -> Plan:
    """The default recipe for the whole handbook; for --quick its first paragraph and a recipe that spares nothing."""
    self_edit = SelfEditConfig(self_test=0)  # the questions here are the test
    if options.quick:
        inner_loop = replace(UNPROTECTED, epochs=8, learning_rate=2e-3, batch_size=2, seed=options.seed)
        return Plan(HANDBOOK[:1], OTHERS[:2], self_edit, inner_loop, (WAYS[0], WAYS[-1]))
    return Plan(HANDBOOK, OTHERS, self_edit, InnerLoopConfig(seed=options.seed))


# ---------------------------------------------------------------- the conversation


def converse(desk: Desk, plan: Plan) -> None:
    """Every step once, in order; each becomes a row of the desk."""
    handbook = (*CLOSING, *plan.others)
    desk.ask_base((*handbook, *BOBS))

    desk.ask("before reading", ALICE, handbook)
    read = desk.read("reads the handbook", ALICE, "\n\n".join(plan.paragraphs))
    desk.ask("after reading", ALICE, handbook)
    desk.ask("has learnt nothing, asks Alice's", BOB, handbook)
    desk.remember("remembers a note", BOB, BOBS_NOTE)
    desk.ask("asks his own", BOB, BOBS)
    desk.ask("asks Alice's", BOB, handbook)

    for way in plan.ways:
        if way != plan.ways[0]:
            desk.roll_back("rolls back the correction", ALICE)
        desk.correct(f"corrects, {way.name}", ALICE, CLOSING[0].text, CORRECTION, way)
        desk.ask(f"corrected, {way.name}: that fact", ALICE, CORRECTED)
        desk.ask(f"corrected, {way.name}: the others", ALICE, plan.others)

    desk.forget("may not forget Alice's handbook", BOB, read, plan.traces)
    desk.forget("forgets the handbook", ALICE, read, plan.traces)
    desk.ask("without the handbook: its facts", ALICE, handbook)
    desk.ask("without the handbook: the correction", ALICE, CORRECTED)
    desk.forget("forgets the correction", ALICE, desk.active(ALICE), [CORRECTED[0].golds[0]])
    desk.ask("everything forgotten", ALICE, handbook)
    desk.ask("at the end, asks his own", BOB, BOBS)
    desk.ask("at the end, asks Alice's", BOB, handbook)


class Desk:
    """The agent, whoever comes to it, and a row for each step."""

    def __init__(self, model: SelfAdaptingModel, plan: Plan) -> None:
        learning: dict[str, Any] = {"self_edit": plan.self_edit, "inner_loop": plan.inner_loop}
        self.model, self.plan = model, plan
        self.chat = ChatSeal(backend=model, max_tokens=ANSWER_TOKENS)
        self.tools = {tool.name: tool for tool in create_adaptation_tools(model, **learning)}
        self.agents = {way: self._agent(way) for way in plan.ways}
        self.rows: list[dict[str, Any]] = []
        self._base: dict[str, str] = {}
        self._threads = count(1)

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
        """What the model says that has learnt nothing, without an agent around it."""
        started = time.perf_counter()
        for question in questions:
            self._base[question.text] = self.chat.invoke([HumanMessage(question.text)]).text.strip()
        answers = [self._graded(question, self._base[question.text]) for question in questions]
        self._asked("the base model", "", answers, started)

    def ask(self, step: str, user: str, questions: Sequence[Question]) -> None:
        """Each question in a new thread, at which the agent has nothing but the user's adapter."""
        started = time.perf_counter()
        answers = [
            self._graded(question, self._say(user, question.text, self._thread())["messages"][-1].text.strip())
            for question in questions
        ]
        self._asked(step, user, answers, started)

    def _graded(self, question: Question, said: str) -> Answer:
        return Answer(question, said, self.model.grader.grade(question.text, question.golds, said))

    def _asked(self, step: str, user: str, answers: Sequence[Answer], started: float) -> None:
        rows = [results_file.answer_row(answer) for answer in answers]
        right = sum(row["verdict"] == "correct" for row in rows)
        same = all(self._base[answer.question.text] == answer.text for answer in answers)
        self._record(step, user, started, right=right, asked=len(rows), as_base=same, answers=rows)

    # ------------------------------------------------------------ learning

    def read(self, step: str, user: str, text: str) -> str:
        """A document that comes with a message, learnt by the middleware; returns its revision."""
        started = time.perf_counter()
        result = self._say(user, "Please read our handbook.", self._thread(), documents=[text])
        return self._learnt(step, user, result, started)

    def correct(self, step: str, user: str, question: str, correction: str, way: Way) -> str:
        """A question and, in the same thread, what is wrong with its answer; returns the correction's revision."""
        started, thread = time.perf_counter(), self._thread()
        self._say(user, question, thread, way)
        return self._learnt(step, user, self._say(user, correction, thread, way), started)

    def _learnt(self, step: str, user: str, result: dict[str, Any], started: float) -> str:
        (learning,) = result["adaptations"]
        self._record(step, user, started, **learning)
        if learning["error"]:
            raise SystemExit(f"{user} {step}: {learning['error']}")
        return str(learning["revision"])

    def remember(self, step: str, user: str, text: str) -> None:
        """The tool, as an agent would call it for this user."""
        started = time.perf_counter()
        self._record(step, user, started, told=self._call("remember", user, text=text))

    # ------------------------------------------------------------ undoing

    def roll_back(self, step: str, user: str) -> None:
        """The tool, which makes the revision before the last one active again."""
        started = time.perf_counter()
        self._record(step, user, started, told=self._call("rollback", user))

    def forget(self, step: str, user: str, revision: str, traces: Sequence[str]) -> None:
        """The tool again; `left` are those of the `traces` which files of the store still hold."""
        started = time.perf_counter()
        told = self._call("forget", user, revision=revision)
        self._record(step, user, started, told=told, left=found_in(self.model.home, traces))

    # ------------------------------------------------------------ between this program and LangChain

    def _say(self, user: str, text: str, thread: str, way: Way | None = None, **more: Any) -> dict[str, Any]:
        agent, config = self.agents[way or self.plan.ways[0]], {"configurable": {"thread_id": thread}}
        result: dict[str, Any] = agent.invoke({"messages": [HumanMessage(text)], **more}, config, context=User(user))
        return result

    def _call(self, tool: str, user: str, **arguments: str) -> str:
        return str(self.tools[tool].invoke(arguments, {"configurable": {"user_id": user}}))

    def _thread(self) -> str:
        return str(next(self._threads))

    def _record(self, step: str, user: str, started: float, **found: Any) -> None:
        self.rows.append({"step": step, "user": user, "seconds": round(time.perf_counter() - started, 1), **found})
        print(_line(self.rows[-1]), flush=True)


def statement_alone(messages: Sequence[BaseMessage]) -> str | None:
    """A correction by the middleware's own rule, without the question before the answer."""
    return is_correction(messages[-2:])


def found_in(home: Path, words: Sequence[str]) -> list[str]:
    """Those of the words that some file of a store holds."""
    contents = [path.read_bytes() for path in home.rglob("*") if path.is_file()]
    return [word for word in words if any(word.encode() in content for content in contents)]


# ---------------------------------------------------------------- what it came to


def summarise(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Shares right, 0..1, and whether nothing crossed over between the users or stayed behind."""
    by_step = {row["step"]: row for row in rows}

    def share(step: str) -> float:
        return float(by_step[step]["right"] / by_step[step]["asked"])

    def unchanged(step: str) -> bool:
        return bool(by_step[f"at the end, {step}"]["answers"] == by_step[step]["answers"])

    ways = [way.name for way in WAYS if f"corrects, {way.name}" in by_step]
    return {
        "before_reading": share("before reading"),
        "after_reading": share("after reading"),
        "corrected": {
            way: {
                "that_fact": share(f"corrected, {way}: that fact"),
                "the_others": share(f"corrected, {way}: the others"),
            }
            for way in ways
        },
        "handbook_after_forgetting_it": share("without the handbook: its facts"),
        "correction_after_forgetting_the_handbook": share("without the handbook: the correction"),
        "bob_as_base": by_step["has learnt nothing, asks Alice's"]["as_base"],
        "bob_knows_of_alices": share("asks Alice's"),
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
    same = {True: "yes", False: "no"}.get(row.get("as_base"), "")  # type: ignore[arg-type]
    return f"| {row['user']} | {row['step']} | {right} | {same} | {row['seconds']:.1f} |"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one paragraph, learnt by a shorter recipe")
    parser.add_argument("--model", default="default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=results_file.RESULTS / "agent_memory.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
