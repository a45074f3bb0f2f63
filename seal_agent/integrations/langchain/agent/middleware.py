"""Middleware that lets an agent learn documents and corrections as it talks, into one adapter per user.

Texts are drafted after each model call, shown for approval if required, and learnt when the agent has finished.
An interrupted graph runs its node again from the start. So drafting is a node of its own, and training comes after
the interrupt: nothing is drafted or trained twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Any, NotRequired, get_args

from seal_agent.adaptation.judging import DEFAULT_GATE, AnyGate
from seal_agent.errors import InputError, MissingDependency, SealError
from seal_agent.integrations.drafts import BackgroundLearner, Draft, LearningOutcome, Source, from_json, to_json
from seal_agent.integrations.langchain.agent.approval import Approval, approval_request
from seal_agent.integrations.langchain.agent.documents import as_context, documents_in, up_to_last_turn
from seal_agent.integrations.langchain.agent.documents import is_correction as is_correction
from seal_agent.integrations.langchain.agent.tools import find_learnt, find_tried
from seal_agent.integrations.namespaces import DEFAULT_NAMESPACE
from seal_agent.store.queue import LessonQueue
from seal_agent.types import Context

try:
    from langchain.agents.middleware import AgentMiddleware, AgentState, ModelRequest, ModelResponse
    from langchain.agents.middleware.types import OmitFromSchema
    from langchain_core.messages import BaseMessage
    from langgraph.runtime import Runtime
    from langgraph.types import interrupt

    from seal_agent.integrations.langchain.agent.routing import RunAdapter
except ImportError as err:
    raise MissingDependency(
        "AdaptationMiddleware needs LangChain and LangGraph: pip install 'seal-agent[langchain]'"
    ) from err

if TYPE_CHECKING:
    from seal_agent.config import InnerLoopConfig, SelfEditConfig
    from seal_agent.model import SelfAdaptingModel
    from seal_agent.types import Revision


class AdaptationState(AgentState[Any]):
    """What the middleware adds to an agent's state: plain JSON, which any checkpointer can store."""

    documents: NotRequired[list[Any]]
    """Input: texts, Documents or {"text", "title"} to learn."""
    adaptations: NotRequired[Annotated[list[dict[str, Any]], OmitFromSchema(input=True, output=False)]]
    """Output: what this run learnt or failed to learn, as LearningOutcome dictionaries."""
    adaptation_drafts: NotRequired[Annotated[list[str], OmitFromSchema()]]
    adaptation_seen: NotRequired[Annotated[list[str], OmitFromSchema()]]
    adaptation_retry: NotRequired[Annotated[list[str], OmitFromSchema()]]
    """Those of adaptation_seen that the next run tries again, since an error may have passed."""
    adaptation_owners: NotRequired[Annotated[dict[str, str], OmitFromSchema()]]
    """The adapter that each text was first seen for, by the text's hash: a thread may have several users."""


class AdaptationMiddleware(AgentMiddleware[AdaptationState, Any, Any]):
    """Trains each user's adapter on their documents and corrections, and answers with that adapter.

    Learns from state["documents"], texts attached to user messages, and turns that `is_correction` recognises. Each
    text is learnt once, and in a thread with several users only for the one in whose run it first appeared. What tools
    return is not learnt unless `learn_from_tools` says so: strangers may have written it. With `approve` a person sees
    the notes before anything is trained.
    """

    state_schema = AdaptationState
    tools = ()

    def __init__(
        self,
        model: SelfAdaptingModel,
        namespace: Sequence[str] = DEFAULT_NAMESPACE,
        *,
        on: Sequence[Source] = ("documents", "corrections"),
        learn_from_tools: bool = False,
        background: bool = False,
        approve: bool = False,
        route: bool = True,
        is_correction: Callable[[Sequence[BaseMessage]], str | None] = is_correction,
        self_edit: SelfEditConfig | None = None,
        inner_loop: InnerLoopConfig | None = None,
        gate: AnyGate = DEFAULT_GATE,
    ) -> None:
        """
        Args:
            model: the model whose adapters are trained.
            namespace: whose adapter is trained; see `adapter_for`.
            on: what to learn from.
            learn_from_tools: let "documents" include Documents that tools return as artifacts.
            background: learn in a separate thread while the agent goes on; see `wait`. What a process that ended left
                in the queue is learnt first, by the next one that makes this middleware with the same home.
            approve: interrupt the graph before learning, which needs a checkpointer. Resume it with True, False or
                {"approve": …}.
            route: pass the adapter to every chat model call as the model setting `adapter`, which ChatSeal reads;
                False for other chat models.
            is_correction: returns the text to learn from the user's last turn, or None.
            self_edit, inner_loop, gate: as for `SelfAdaptingModel.adapt`.

        Raises InputError for an unusable namespace or an unknown source.
        """
        super().__init__()
        self._run_adapter = RunAdapter(model, namespace)
        if isinstance(on, str) or not set(on) <= set(get_args(Source)):
            raise InputError(f"on names what to learn from, {' and '.join(get_args(Source))}, but it is {on!r}")
        self._model, self._on = model, frozenset(on)
        self._learn_from_tools = learn_from_tools
        self._background, self._approve, self._route = background, approve, route
        self._is_correction = is_correction
        self._self_edit, self._inner_loop, self._gate = self_edit, inner_loop, gate
        self._queue = LessonQueue(model.ledger.database, model.base.identity)
        self._learner = BackgroundLearner(self._learn, self._queue)
        if background:
            self._learner.resume()

    # ------------------------------------------------------------ the agent's steps

    def before_agent(self, state: AdaptationState, runtime: Runtime[Any]) -> dict[str, Any]:
        """Check the run's input, and note whose documents are in it.

        Raises InputError if it does not identify the adapter, or for an unusable document.
        """
        adapter, owners = self._adapter(runtime), dict(state.get("adaptation_owners") or {})
        for document in state.get("documents") or ():
            as_context(document)
        for context in self._documents(state):
            owners.setdefault(Draft(adapter, "documents", context).text_id, adapter)
        retry = set(state.get("adaptation_retry") or ())
        seen = [id_ for id_ in state.get("adaptation_seen") or () if id_ not in retry]
        return {"adaptations": [], "adaptation_owners": owners, "adaptation_seen": seen, "adaptation_retry": []}

    async def abefore_agent(self, state: AdaptationState, runtime: Runtime[Any]) -> dict[str, Any]:
        return self.before_agent(state, runtime)

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any]:
        """Answer with the user's adapter; a user without one yet gets the chat model's own default."""
        return handler(self._route_request(request))

    async def awrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]]
    ) -> ModelResponse[Any]:
        return await handler(self._route_request(request))

    def after_model(self, state: AdaptationState, runtime: Runtime[Any]) -> dict[str, Any] | None:
        """Draft new documents and corrections."""
        return self._draft(state, self._adapter(runtime))

    async def aafter_model(self, state: AdaptationState, runtime: Runtime[Any]) -> dict[str, Any] | None:
        return await asyncio.to_thread(self._draft, state, self._adapter(runtime))

    def after_agent(self, state: AdaptationState, runtime: Runtime[Any]) -> dict[str, Any] | None:
        """Ask for approval if required, then learn the drafts."""
        adapter = self._adapter(runtime)
        drafts = self._approved(self._pending(state, adapter))
        return self._finish(state, adapter, drafts, self._learn_all(drafts, adapter))

    async def aafter_agent(self, state: AdaptationState, runtime: Runtime[Any]) -> dict[str, Any] | None:
        adapter = self._adapter(runtime)
        drafts = self._approved(self._pending(state, adapter))
        return self._finish(state, adapter, drafts, await asyncio.to_thread(self._learn_all, drafts, adapter))

    # ------------------------------------------------------------ learning

    def to_learn(self, state: AdaptationState) -> Iterable[tuple[Source, Context]]:
        """Everything in a conversation that may be learnt, old and new. Override it to find more or less."""
        for context in self._documents(state):
            yield "documents", context
        if "corrections" in self._on and (text := self._is_correction(up_to_last_turn(state["messages"]))):
            yield "corrections", Context(text)

    def _documents(self, state: AdaptationState) -> Iterator[Context]:
        if "documents" in self._on:
            yield from map(as_context, state.get("documents") or ())
            yield from documents_in(state["messages"], self._learn_from_tools)

    def wait(self, timeout: float | None = None) -> list[LearningOutcome]:
        """Wait at most `timeout` seconds for background learning. Returns outcomes that are new since the last call.

        Errors are among the outcomes; a draft whose outcome says `will_retry` is tried again later. The adapter's next
        run also lists the outcomes in its state, under `adaptations`.
        """
        return self._learner.wait(timeout)

    def close(self) -> None:
        """End background learning after the lesson that is being learnt; those that wait stay on disk.

        A process that ends does this by itself. The next one with the same home learns what was left.
        """
        self._learner.close()

    def _draft(self, state: AdaptationState, adapter: str) -> dict[str, Any] | None:
        """The state update with new drafts; None if there is nothing new."""
        seen, owners = dict.fromkeys(state.get("adaptation_seen") or ()), dict(state.get("adaptation_owners") or {})
        drafts, failures, retry, seen_before = [], [], list(state.get("adaptation_retry") or ()), len(seen)
        for source, context in self.to_learn(state):
            draft = Draft(adapter, source, context)
            if draft.id in seen or owners.setdefault(draft.text_id, adapter) != adapter:
                continue
            seen[draft.id] = None
            tried = context.trust == "untrusted" and find_tried(self._model, adapter, context.text, "")
            if tried or find_learnt(self._model, adapter, context.text):
                continue  # a stranger's text waits in quarantine, and is not learned again in every thread
            try:
                drafts.append(draft if self._background and not self._approve else self._with_notes(draft))
            except SealError as error:
                failures.append(LearningOutcome.failed(draft, error))
                retry += [draft.id] if failures[-1].will_retry else []
        if len(seen) == seen_before:
            return None
        return {
            "adaptation_seen": list(seen),
            "adaptation_owners": owners,
            "adaptation_retry": retry,
            "adaptation_drafts": [*(state.get("adaptation_drafts") or ()), *map(to_json, drafts)],
            "adaptations": [*(state.get("adaptations") or ()), *map(asdict, failures)],
        }

    def _with_notes(self, draft: Draft) -> Draft:
        self._model.check_budget(draft.adapter)
        proposal = self._model.propose(draft.context, adapter=draft.adapter, self_edit=self._self_edit)
        return replace(draft, proposal=proposal)

    def _pending(self, state: AdaptationState, adapter: str) -> list[Draft]:
        """This adapter's drafts. Drafts of another user of the same thread wait for that user."""
        drafts = [from_json(text) for text in state.get("adaptation_drafts") or ()]
        return [draft for draft in drafts if draft.adapter == adapter]

    def _approved(self, drafts: list[Draft]) -> list[Draft]:
        """The drafts that a person approved, or all if no approval is required.

        Code before the interrupt runs again on resume, so it only reads the drafts.
        """
        if not self._approve or not drafts:
            return drafts
        approval = interrupt(approval_request(drafts), response_schema=Approval)
        return [draft for draft in drafts if approval.includes(draft)]

    def _learn_all(self, drafts: Sequence[Draft], adapter: str) -> list[LearningOutcome]:
        """Outcomes to report: of these drafts, or in background mode of what finished since the adapter's last run."""
        if not self._background:
            return [self._learn(draft) for draft in drafts]
        finished = self._learner.unreported(adapter)
        for draft in drafts:
            self._learner.begin(draft)
        return finished

    def _learn(self, draft: Draft, queued: str | None = None) -> LearningOutcome:
        """Learn a draft unless its text is learnt already. A SealError becomes a failed outcome.

        A draft from the queue is not learnt again either if a revision tried it since then and was not kept.
        """
        try:
            with self._queue.only_learner_of(draft.adapter):
                revision = self._learnt(draft, queued) or self._commit(draft)
        except SealError as error:
            return LearningOutcome.failed(draft, error)
        subject = draft.subject
        return LearningOutcome(draft.adapter, draft.source, subject, revision.id, revision.accepted, revision.reason)

    def _learnt(self, draft: Draft, queued: str | None) -> Revision | None:
        text = draft.context.text
        revision = find_learnt(self._model, draft.adapter, text)
        return revision or (find_tried(self._model, draft.adapter, text, queued) if queued else None)

    def _commit(self, draft: Draft) -> Revision:
        proposal = draft.proposal or self._with_notes(draft).proposal
        assert proposal is not None
        metadata = {"learnt_from": draft.source}
        return self._model.commit(proposal, inner_loop=self._inner_loop, gate=self._gate, metadata=metadata)

    def _finish(
        self, state: AdaptationState, adapter: str, drafts: Sequence[Draft], outcomes: Sequence[LearningOutcome]
    ) -> dict[str, Any]:
        """The state update after learning: other adapters' drafts remain, and the outcomes are reported."""
        remaining = [text for text in state.get("adaptation_drafts") or () if from_json(text).adapter != adapter]
        tried = [] if self._background else zip(drafts, outcomes, strict=True)
        retry = [draft.id for draft, outcome in tried if outcome.will_retry]
        return {
            "adaptation_drafts": remaining,
            "adaptation_retry": [*(state.get("adaptation_retry") or ()), *retry],
            "adaptations": [*(state.get("adaptations") or ()), *map(asdict, outcomes)],
        }

    # ------------------------------------------------------------ the user's adapter

    def _adapter(self, runtime: Runtime[Any]) -> str:
        return self._run_adapter.name(runtime)

    def _route_request(self, request: ModelRequest[Any]) -> ModelRequest[Any]:
        adapter = self._adapter(request.runtime)
        return self._run_adapter.route(request, adapter) if self._route else request
