"""An agent with AdaptationMiddleware, and what its users' adapters have learnt."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command
from pydantic import Field
from test_model import NOTES, QUICK

from seal_agent.integrations.langchain.agent.middleware import AdaptationMiddleware
from seal_agent.model import SelfAdaptingModel


class Talker(BaseChatModel):
    """Says what it was given, turn by turn, and writes down what each call came with."""

    turns: list[AIMessage] = Field(default_factory=list)
    settings: list[dict[str, Any]] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "talker"

    def bind_tools(self, tools: Any, **settings: Any) -> Any:
        return self.bind(tools=tools, **settings)

    def _generate(self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any) -> Any:
        self.settings.append(kwargs)
        said = self.turns.pop(0) if self.turns else AIMessage("Fine.")
        return ChatResult(generations=[ChatGeneration(message=said)])


@dataclass
class Who:
    user_id: str


ALICE, BOB = Who("alice"), Who("bob")


class Session:
    """An agent with the middleware, asked synchronously or not."""

    def __init__(self, model: SelfAdaptingModel, asynchronous: bool = False, **options: Any) -> None:
        self.chat = options.pop("chat", None) or Talker(turns=options.pop("turns", []))
        self.asynchronous = asynchronous
        namespace = options.pop("namespace", ("{user_id}",))
        tools, self.saver = options.pop("tools", []), options.pop("saver", InMemorySaver())
        self.middleware = AdaptationMiddleware(model, namespace, self_edit=NOTES, inner_loop=QUICK, **options)
        self.agent = create_agent(
            self.chat, tools, middleware=[self.middleware], context_schema=Who, checkpointer=self.saver
        )

    def run(self, what: Any, user: Who | None = ALICE, thread: str = "1") -> dict[str, Any]:
        config = {"configurable": {"thread_id": thread}}
        if self.asynchronous:
            return asyncio.run(self.agent.ainvoke(what, config, context=user))
        return self.agent.invoke(what, config, context=user)

    def say(self, text: Any, user: Who | None = ALICE, thread: str = "1", **more: Any) -> dict[str, Any]:
        return self.run({"messages": [HumanMessage(text)], **more}, user, thread)

    def answer(self, decision: Any, user: Who | None = ALICE, thread: str = "1") -> dict[str, Any]:
        return self.run(Command(resume=decision), user, thread)


def learnt(model: SelfAdaptingModel, adapter: str = "alice") -> list[str]:
    return [one.context.text for one in model.history(adapter)] if adapter in model.adapters() else []
