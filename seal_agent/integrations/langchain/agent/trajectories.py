"""Middleware that lets an agent learn from its own successes, into one adapter per user."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, NotRequired

from seal_agent.adaptation.judging import DEFAULT_GATE, AnyGate
from seal_agent.agents.trajectories.learners import only_learner
from seal_agent.agents.trajectories.store import DEFAULT_LIMITS, TrajectoryStore
from seal_agent.agents.trajectories.trajectory import Redact, Trajectory, redacted
from seal_agent.errors import InputError, MissingDependency, SealError
from seal_agent.generation.answer_form.form import tool_of_function
from seal_agent.integrations.langchain.agent.runs import trajectory_in
from seal_agent.integrations.langchain.chat.calls import tool_of
from seal_agent.integrations.namespaces import DEFAULT_NAMESPACE

try:
    from langchain.agents.middleware import AgentMiddleware, AgentState, ModelRequest, ModelResponse
    from langchain.agents.middleware.types import ExtendedModelResponse, OmitFromSchema, PrivateStateAttr
    from langgraph.errors import GraphBubbleUp
    from langgraph.runtime import Runtime
    from langgraph.types import Command

    from seal_agent.integrations.langchain.agent.routing import RunAdapter, run_config
except ImportError as err:
    raise MissingDependency(
        "TrajectoryMiddleware needs LangChain and LangGraph: pip install 'seal-agent[langchain]'"
    ) from err

if TYPE_CHECKING:
    from seal_agent.config import InnerLoopConfig, TrajectoryLimits
    from seal_agent.model import SelfAdaptingModel
    from seal_agent.types import Trust

_LOG = logging.getLogger(__name__)

Verify = Callable[[Trajectory], bool | None]
"""Whether a run reached its goal; None where that cannot be said."""


@dataclass(frozen=True, slots=True)
class TrajectoryOutcome:
    """What became of a run: its trajectory's id and outcome, and the revision where the adapter then learnt.

    `trajectory` is "" where the run could not be read or redacted; `error` then says why.
    """

    adapter: str
    trajectory: str
    outcome: str
    revision: str | None = None
    accepted: bool = False
    reason: str = ""
    error: str = ""


class TrajectoryState(AgentState[Any]):
    """What the middleware adds to an agent's state: plain JSON."""

    trajectories: NotRequired[Annotated[list[dict[str, Any]], OmitFromSchema(input=True, output=False)]]
    """Output: what became of this run, as TrajectoryOutcome dictionaries; none where no tool was called."""
    trajectory_agent: NotRequired[Annotated[dict[str, Any], PrivateStateAttr]]
    """The agent as this run's last model call had it: its system prompt, and its tools as OpenAI functions."""


class TrajectoryMiddleware(AgentMiddleware[TrajectoryState, Any, Any]):
    """Keeps what an agent did, learns what `verify` calls a success, and answers with the adapter that learnt it.

    A run's goal is the user's last message, its actions are the tool calls that follow. Only actions are learnt. Texts
    that tools return are read, not learnt, but a stranger's text may have led the agent: `trust` says so.
    """

    state_schema = TrajectoryState
    tools = ()

    def __init__(
        self,
        model: SelfAdaptingModel,
        verify: Verify | None = None,
        namespace: Sequence[str] = DEFAULT_NAMESPACE,
        *,
        verified_by: str = "verify",
        learn_after: int | None = 8,
        trust: Trust = "trusted",
        route: bool = True,
        redact: Redact | None = None,
        limits: TrajectoryLimits | None = None,
        inner_loop: InnerLoopConfig | None = None,
        gate: AnyGate = DEFAULT_GATE,
    ) -> None:
        """
        Args:
            model: the model whose adapters are trained.
            verify: says from a run's trajectory whether it reached its goal. Without it, and where it raises, runs are
                only kept, and `SelfAdaptingModel.trajectories(…).verify` says later how they ended.
            namespace: whose adapter is trained; see `adapter_for`.
            verified_by: who `verify` is, for the ledger.
            learn_after: new successes that wait before the adapter learns them, with those of revisions that the gate
                refused; None: `seal learn` does it.
            trust: "untrusted" quarantines what is learnt.
            route: pass the adapter to every chat model call as the model setting `adapter`, which ChatSeal reads.
            redact: called with every text before it is written or learnt. A run on which it raises is not kept.
            limits: how much is kept; default: TrajectoryLimits().
            inner_loop, gate: as for `SelfAdaptingModel.learn`.

        Raises InputError for an unusable namespace, or a `learn_after` below 1.
        """
        super().__init__()
        self._run_adapter = RunAdapter(model, namespace)
        if learn_after is not None and learn_after < 1:
            raise InputError(f"learn_after must be at least 1, but it is {learn_after}; use None to learn nothing")
        self._model, self._verify = model, verify
        self._verified_by, self._learn_after = verified_by, learn_after
        self._trust, self._route, self._redact = trust, route, redact
        self._limits = limits or DEFAULT_LIMITS
        self._inner_loop, self._gate = inner_loop, gate

    # ------------------------------------------------------------ the agent's steps

    def before_agent(self, state: TrajectoryState, runtime: Runtime[Any]) -> dict[str, Any]:
        """Raises InputError where the run does not identify the adapter."""
        self._adapter(runtime)
        return {"trajectories": [], "trajectory_agent": {}}

    async def abefore_agent(self, state: TrajectoryState, runtime: Runtime[Any]) -> dict[str, Any]:
        return self.before_agent(state, runtime)

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ExtendedModelResponse[Any]:
        """Note the tools, and answer with the user's adapter; one without lessons gets the chat model's default."""
        return ExtendedModelResponse(handler(self._routed(request)), _noted(request))

    async def awrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]]
    ) -> ExtendedModelResponse[Any]:
        return ExtendedModelResponse(await handler(self._routed(request)), _noted(request))

    def after_agent(self, state: TrajectoryState, runtime: Runtime[Any]) -> dict[str, Any] | None:
        """Keep the run, and learn where enough successes wait."""
        return self._finish(state, self._adapter(runtime), _source())

    async def aafter_agent(self, state: TrajectoryState, runtime: Runtime[Any]) -> dict[str, Any] | None:
        adapter, source = self._adapter(runtime), _source()
        return await asyncio.to_thread(self._finish, state, adapter, source)

    # ------------------------------------------------------------ learning

    def _finish(self, state: TrajectoryState, adapter: str, source: str) -> dict[str, Any] | None:
        """What became of a run. Its reply stands whatever fails here; only an interrupt of the graph goes through."""
        failed = TrajectoryOutcome(adapter, "", "unknown")
        try:
            trajectory = self._trajectory(state, source)
        except SealError as error:
            return _told(replace(failed, error=str(error)))
        except Exception as error:
            return _told(replace(failed, error=_logged("reading the run", error)))
        if trajectory is None:
            return None
        trajectory, error_of_verify = self._verified(trajectory)
        try:
            trajectory = redacted(trajectory, self._redact) if self._redact else trajectory
            error_of_verify = self._redact(error_of_verify) if self._redact else error_of_verify
        except Exception as error:
            return _told(replace(failed, error=f"{_logged('redact', error)}; the run was not kept"))
        return _told(self._kept(trajectory, replace(failed, trajectory=trajectory.id, error=error_of_verify)))

    def _kept(self, trajectory: Trajectory, outcome: TrajectoryOutcome) -> TrajectoryOutcome:
        """The outcome, after a run that holds nothing to redact any more was kept, and what waits was learnt."""
        try:
            store = TrajectoryStore(self._model.ledger, outcome.adapter, limits=self._limits)
            (kept,) = store.add([trajectory])
            outcome = replace(outcome, trajectory=kept.id, outcome=kept.outcome)
            return self._learnt(store, outcome)
        except SealError as error:
            return replace(outcome, error=str(error))
        except Exception as error:
            _LOG.exception("the adapter %s did not learn", outcome.adapter)
            return replace(outcome, error=f"learning raised {_in_words(error)}")

    def _trajectory(self, state: TrajectoryState, source: str) -> Trajectory | None:
        """The run as a trajectory; None where no tool was called. Raises InputError for content that is not text."""
        agent: Mapping[str, Any] = state.get("trajectory_agent") or {}
        tools = [tool_of_function(function) for function in agent.get("tools", ())]
        system = str(agent.get("system", ""))
        return trajectory_in(state["messages"], tools, system=system, source=source, trust=self._trust)

    def _verified(self, trajectory: Trajectory) -> tuple[Trajectory, str]:
        """The trajectory with what `verify` says of it, and the error where it cannot say anything."""
        try:
            said = self._verify(trajectory) if self._verify else None
        except GraphBubbleUp:  # somebody is asked
            raise
        except Exception as error:
            _logged("verify", error)
            return trajectory, f"verify raised {_in_words(error)}"
        if said is None:
            return trajectory, ""
        return replace(trajectory, outcome="success" if said else "failure", verified_by=self._verified_by), ""

    def _learnt(self, store: TrajectoryStore, outcome: TrajectoryOutcome) -> TrajectoryOutcome:
        """The outcome, after the adapter learnt what waits if enough of it is new.

        What the gate has refused waits for as many new successes, since the same alone would be refused again. What a
        run that overlaps is learning does not wait any more.
        """
        if not self._learn_after or len(store.untried()) < self._learn_after:
            return outcome
        with only_learner(self._model.ledger, store.adapter):
            if len(store.untried()) < self._learn_after:
                return outcome
            revision = self._model.learn(
                store.to_learn(),
                adapter=store.adapter,
                inner_loop=self._inner_loop,
                gate=self._gate,
                limits=self._limits,
            )
        return replace(outcome, revision=revision.id, accepted=revision.accepted, reason=revision.reason)

    # ------------------------------------------------------------ the user's adapter

    def _routed(self, request: ModelRequest[Any]) -> ModelRequest[Any]:
        adapter = self._adapter(request.runtime)
        return self._run_adapter.route(request, adapter) if self._route else request

    def _adapter(self, runtime: Runtime[Any]) -> str:
        return self._run_adapter.name(runtime)


def _noted(request: ModelRequest[Any]) -> Command[Any]:
    """The agent of this call, for the run's state: one middleware serves many runs at once.

    Tools that cannot be described, such as those that a provider runs itself, are left out.
    """
    tools = {}
    for tool in request.tools:
        try:
            described = tool_of(tool)
        except InputError:
            continue
        tools[described.name] = described.openai["function"]
    return Command(update={"trajectory_agent": {"system": request.system_prompt or "", "tools": [*tools.values()]}})


def _told(outcome: TrajectoryOutcome) -> dict[str, Any]:
    return {"trajectories": [asdict(outcome)]}


def _logged(what: str, error: Exception) -> str:
    """Log where something raised, without the error's own words, which may hold what is to be redacted."""
    said = f"{what} raised {type(error).__name__}"
    _LOG.error("%s\n%s", said, "".join(traceback.format_tb(error.__traceback__)))
    return said


def _in_words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _source() -> str:
    """The thread that a run belongs to; "" where it has none."""
    thread = (run_config().get("configurable") or {}).get("thread_id", "")
    return f"thread:{thread}" if thread else ""
