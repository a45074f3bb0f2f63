"""Middleware by which an agent learns as it talks: documents and corrections, each user's into an adapter of their own.

What is to be learnt is drafted after the model has spoken, shown for approval if that is wanted, and learnt when the
agent has finished. A graph that was interrupted begins its node again, so each of these is a node, or is done after
the interrupt: nothing is drafted or trained twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Any, NotRequired, get_args

from pydantic import BaseModel, model_validator

from seal_agent.errors import InputError, MissingDependency, SealError
from seal_agent.integrations.drafts import Background, Draft, LearningOutcome, Source, from_json, to_json
from seal_agent.integrations.langchain.agent.documents import as_context, documents_in, up_to_last_turn
from seal_agent.integrations.langchain.agent.documents import is_correction as is_correction
from seal_agent.integrations.langchain.agent.tools import adapter_for, find_learnt
from seal_agent.integrations.namespaces import DEFAULT_NAMESPACE, check_namespace
from seal_agent.self_edits.parsing import notes_of
from seal_agent.types import Context

try:
    from langchain.agents.middleware import AgentMiddleware, AgentState, ModelRequest, ModelResponse
    from langchain.agents.middleware.types import OmitFromSchema
    from langchain_core.messages import BaseMessage
    from langchain_core.runnables import RunnableConfig
    from langgraph.config import get_config
    from langgraph.runtime import Runtime
    from langgraph.types import interrupt
except ImportError as err:
    raise MissingDependency(
        "AdaptationMiddleware needs LangChain and LangGraph: pip install 'seal-agent[langchain]'"
    ) from err

if TYPE_CHECKING:
    from seal_agent.adaptation.gate import Gate
    from seal_agent.config import InnerLoopConfig, SelfEditConfig
    from seal_agent.model import SelfAdaptingModel
    from seal_agent.types import Revision

SHOWN_CHARACTERS = 2000  # our choice: of a text, in the question whether it may be learnt


class AdaptationState(AgentState[Any]):
    """What the middleware adds to an agent's state; all of it is plain JSON, so any checkpointer keeps it."""

    documents: NotRequired[list[Any]]
    """Input: texts, Documents or {"text", "title"} to learn."""
    adaptations: NotRequired[Annotated[list[dict[str, Any]], OmitFromSchema(input=True, output=False)]]
    """Output: what this run learnt, or could not; see Learning."""
    adaptation_drafts: NotRequired[Annotated[list[str], OmitFromSchema()]]
    adaptation_seen: NotRequired[Annotated[list[str], OmitFromSchema()]]


class Approval(BaseModel):
    """The answer to an interrupt: {"approve": true | false | [ids of drafts]}, or that value alone."""

    approve: bool | list[str]

    @model_validator(mode="before")
    @classmethod
    def _alone(cls, value: Any) -> Any:
        return {"approve": value} if isinstance(value, bool | list) else value

    def includes(self, draft: Draft) -> bool:
        return self.approve if isinstance(self.approve, bool) else draft.id in self.approve


class AdaptationMiddleware(AgentMiddleware[AdaptationState, Any, Any]):
    """Teaches each user's adapter what they hand over or put right, and answers with that adapter.

    Learns from state["documents"], texts attached to a user's messages, Documents that tools return as artifacts, and
    turns that `is_correction` recognises. A text is learnt once. Tools may return texts that a stranger wrote: with
    `approve` a person sees the notes before anything is trained.
    """

    state_schema = AdaptationState
    tools = ()

    def __init__(
        self,
        model: SelfAdaptingModel,
        namespace: Sequence[str] = DEFAULT_NAMESPACE,
        *,
        on: Sequence[Source] = ("documents", "corrections"),
        background: bool = False,
        approve: bool = False,
        route: bool = True,
        is_correction: Callable[[Sequence[BaseMessage]], str | None] = is_correction,
        self_edit: SelfEditConfig | None = None,
        inner_loop: InnerLoopConfig | None = None,
        gate: Gate | None = None,
    ) -> None:
        """`namespace` says whose adapter it is, see `adapter_for`.

        `background`: learn in a thread of its own while the agent goes on; see `wait`. `approve`: interrupt the graph
        before learning, which takes a checkpointer; resume it with True, False or {"approve": …}. `route`: hand the
        adapter to the chat model in every call, as the setting `adapter` that ChatSeal knows; False for others.
        Raises InputError for an unusable namespace or an unknown source.
        """
        super().__init__()
        check_namespace(namespace)
        if isinstance(on, str) or not set(on) <= set(get_args(Source)):
            raise InputError(f"on names what to learn from, {' and '.join(get_args(Source))}, but it is {on!r}")
        self._model, self._namespace, self._on = model, tuple(namespace), frozenset(on)
        self._background, self._approve, self._route = background, approve, route
        self._is_correction = is_correction
        self._self_edit, self._inner_loop, self._gate = self_edit, inner_loop, gate
        self._apart = Background(self._learn)

    # ------------------------------------------------------------ the agent's steps

    def before_agent(self, state: AdaptationState, runtime: Runtime[Any]) -> dict[str, Any]:
        """Look at what the run was given before anything is said.

        Raises InputError where it does not tell whose adapter it is, and for a document that is none.
        """
        self._adapter(runtime)
        for document in state.get("documents") or ():
            as_context(document)
        return {"adaptations": []}

    async def abefore_agent(self, state: AdaptationState, runtime: Runtime[Any]) -> dict[str, Any]:
        return self.before_agent(state, runtime)

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any]:
        """Answer with the user's adapter; as the chat model is set up where they have none yet."""
        return handler(self._routed(request))

    async def awrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]]
    ) -> ModelResponse[Any]:
        return await handler(self._routed(request))

    def after_model(self, state: AdaptationState, runtime: Runtime[Any]) -> dict[str, Any] | None:
        """Draft what is new."""
        return self._drafted(state, self._adapter(runtime))

    async def aafter_model(self, state: AdaptationState, runtime: Runtime[Any]) -> dict[str, Any] | None:
        return await asyncio.to_thread(self._drafted, state, self._adapter(runtime))

    def after_agent(self, state: AdaptationState, runtime: Runtime[Any]) -> dict[str, Any] | None:
        """Ask whether the drafts may be learnt, if that is wanted, and learn them."""
        adapter = self._adapter(runtime)
        drafts = self._approved(self._pending(state, adapter))
        return self._settled(state, adapter, self._learn_all(drafts, adapter))

    async def aafter_agent(self, state: AdaptationState, runtime: Runtime[Any]) -> dict[str, Any] | None:
        adapter = self._adapter(runtime)
        drafts = self._approved(self._pending(state, adapter))
        return self._settled(state, adapter, await asyncio.to_thread(self._learn_all, drafts, adapter))

    # ------------------------------------------------------------ learning

    def to_learn(self, state: AdaptationState) -> Iterable[tuple[Source, Context]]:
        """Everything in a conversation that may be learnt, old and new; override it to find more, or less."""
        messages = state["messages"]
        if "documents" in self._on:
            for document in state.get("documents") or ():
                yield "documents", as_context(document)
            for context in documents_in(messages):
                yield "documents", context
        if "corrections" in self._on and (text := self._is_correction(up_to_last_turn(messages))):
            yield "corrections", Context(text)

    def wait(self, timeout: float | None = None) -> list[LearningOutcome]:
        """Wait until what was begun in the background is done, or for so many seconds.

        Returns what came of it since the last time, errors included; a run's state tells of them as well, under
        `adaptations`, the next time that the same adapter is used.
        """
        return self._apart.wait(timeout)

    def _drafted(self, state: AdaptationState, adapter: str) -> dict[str, Any] | None:
        seen = dict.fromkeys(state.get("adaptation_seen") or ())
        drafts, failed, before = [], [], len(seen)
        for source, context in self.to_learn(state):
            draft = Draft(adapter, source, context)
            if draft.id in seen:
                continue
            seen[draft.id] = None
            if find_learnt(self._model, adapter, context.text):
                continue
            try:
                drafts.append(draft if self._background and not self._approve else self._with_notes(draft))
            except SealError as error:
                failed.append(LearningOutcome.failed(draft, str(error)))
        if len(seen) == before:
            return None
        return {
            "adaptation_seen": list(seen),
            "adaptation_drafts": [*(state.get("adaptation_drafts") or ()), *map(to_json, drafts)],
            "adaptations": [*(state.get("adaptations") or ()), *map(asdict, failed)],
        }

    def _with_notes(self, draft: Draft) -> Draft:
        proposal = self._model.propose(draft.context, adapter=draft.adapter, self_edit=self._self_edit)
        return replace(draft, proposal=proposal)

    def _pending(self, state: AdaptationState, adapter: str) -> list[Draft]:
        """This adapter's drafts. Those of another user of the same thread wait for that user."""
        drafts = [from_json(text) for text in state.get("adaptation_drafts") or ()]
        return [draft for draft in drafts if draft.adapter == adapter]

    def _approved(self, drafts: list[Draft]) -> list[Draft]:
        """What runs before the interrupt runs again when it is answered: nothing but reading the drafts."""
        if not self._approve or not drafts:
            return drafts
        answer = interrupt(_question(drafts), response_schema=Approval)
        return [draft for draft in drafts if answer.includes(draft)]

    def _learn_all(self, drafts: Sequence[Draft], adapter: str) -> list[LearningOutcome]:
        """What there is to tell: what was learnt, or in the background what was since the adapter's last run."""
        if not self._background:
            return [self._learn(draft) for draft in drafts]
        since = self._apart.unreported(adapter)
        for draft in drafts:
            self._apart.begin(draft)
        return since

    def _learn(self, draft: Draft) -> LearningOutcome:
        """Done twice it is learnt once. An error that the library raises on purpose is a result."""
        try:
            known = find_learnt(self._model, draft.adapter, draft.context.text)
            revision = known or self._commit(draft)
        except SealError as error:
            return LearningOutcome.failed(draft, str(error))
        subject = draft.subject
        return LearningOutcome(draft.adapter, draft.source, subject, revision.id, revision.accepted, revision.reason)

    def _commit(self, draft: Draft) -> Revision:
        proposal = draft.proposal or self._with_notes(draft).proposal
        assert proposal is not None
        facts = {"learnt_from": draft.source}
        return self._model.commit(proposal, inner_loop=self._inner_loop, gate=self._gate, metadata=facts)

    def _settled(self, state: AdaptationState, adapter: str, told: Sequence[LearningOutcome]) -> dict[str, Any]:
        """What is left of the drafts, and what there is to tell."""
        others = [text for text in state.get("adaptation_drafts") or () if from_json(text).adapter != adapter]
        return {
            "adaptation_drafts": others,
            "adaptations": [*(state.get("adaptations") or ()), *map(asdict, told)],
        }

    # ------------------------------------------------------------ whose adapter

    def _adapter(self, runtime: Runtime[Any]) -> str:
        return adapter_for(self._namespace, runtime.context, _config_of_run())

    def _routed(self, request: ModelRequest[Any]) -> ModelRequest[Any]:
        adapter = self._adapter(request.runtime)
        if not self._route:
            return request
        # ChatSeal takes an adapter from the run's config before any other: that would be anybody's.
        named = (_config_of_run().get("configurable") or {}).get("adapter", adapter)
        if named != adapter:
            raise InputError(
                f"the run's config asks for adapter {named!r}, but its user's is {adapter!r}; leave adapter out of the "
                "config, or make the middleware with route=False"
            )
        if adapter not in self._model.adapters():
            return request
        return request.override(model_settings={**request.model_settings, "adapter": adapter})


def _config_of_run() -> RunnableConfig:
    try:
        return get_config()
    except RuntimeError:
        return {}


def _question(drafts: Sequence[Draft]) -> dict[str, Any]:
    """What a person is asked: may this be learnt?"""
    return {
        "action": "adapt",
        "adapter": drafts[0].adapter,
        "drafts": [
            {
                "id": draft.id,
                "source": draft.source,
                "title": draft.context.title,
                "text": draft.context.text[:SHOWN_CHARACTERS],
                "notes": _notes(draft),
            }
            for draft in drafts
        ],
    }


def _notes(draft: Draft) -> list[str]:
    """The lines that would be trained on beside the text itself."""
    edits = draft.proposal.self_edits if draft.proposal else ()
    return [f"{note.text} {note.answer or ''}".strip() for note in notes_of(edits, draft.context.title)]
