"""Tools by which an agent learns and unlearns: remember, rollback, history and forget, each for the run's user only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from seal_agent.adaptation.judging import DEFAULT_GATE, AnyGate
from seal_agent.errors import InputError, MissingDependency, SealError
from seal_agent.integrations.drafts import subject_of
from seal_agent.integrations.namespaces import DEFAULT_NAMESPACE, check_namespace, namespace_for
from seal_agent.integrations.namespaces import adapter_for as adapter_for
from seal_agent.store.namespaces import DEFAULT

try:
    from langchain_core.runnables import RunnableConfig
    from langchain_core.tools import BaseTool, StructuredTool, ToolException
except ImportError as err:
    raise MissingDependency("tools for agents need LangChain: pip install 'seal-agent[langchain]'") from err

from pydantic import BaseModel, Field

if TYPE_CHECKING:
    from seal_agent.config import InnerLoopConfig, SelfEditConfig
    from seal_agent.model import SelfAdaptingModel
    from seal_agent.types import Revision, Trust

MAX_LISTED = 20  # newest revisions that `history` lists; not tuned


class UnknownUser(ToolException):
    """The run does not identify the user. It ends the run, since only the agent's author can fix it, not the model."""


class RememberInput(BaseModel):
    """What is to be learnt."""

    text: str = Field(description="The facts, in whole sentences that can be understood on their own.")
    title: str = Field(default="", description="What the text is about, in a few words.")


class NoInput(BaseModel):
    """Nothing has to be said."""


class ForgetInput(BaseModel):
    """What is to be erased."""

    revision: str = Field(description="The revision's id, as history lists it.")


def create_adaptation_tools(
    model: SelfAdaptingModel,
    namespace: Sequence[str] = DEFAULT_NAMESPACE,
    *,
    self_edit: SelfEditConfig | None = None,
    inner_loop: InnerLoopConfig | None = None,
    gate: AnyGate = DEFAULT_GATE,
    trust: Trust = "trusted",
) -> list[BaseTool]:
    """The tools remember, rollback, history and forget, for the adapter that `namespace` denotes in each run.

    The chat model that calls the tools neither sees the adapter's name nor can it choose another.

    Args:
        model: the model whose adapters the tools change.
        namespace: parts such as "{user_id}" are filled from the run's context or config["configurable"]; see
            `adapter_for`. If the value is missing, the run ends with a ToolException.
        self_edit, inner_loop, gate: as for `SelfAdaptingModel.adapt`.
        trust: of the texts that `remember` learns. The chat model chooses them, so give "untrusted" to an agent that
            reads what strangers wrote, such as web pages or mail: one may say "remember this". What it learns is
            quarantined then, until `seal promote`.

    Other errors reach the chat model as a tool message. Raises InputError for an unusable namespace.
    """
    check_namespace(namespace)
    tools = _AdapterTools(model, namespace, self_edit, inner_loop, gate, trust)
    return [
        _tool(
            tools.remember,
            RememberInput,
            "Learn a text for good, so that it is known without being shown again. Slow.",
        ),
        _tool(tools.rollback, NoInput, "Undo what was learnt last. Nothing is deleted."),
        _tool(tools.history, NoInput, "List what was learnt, oldest first, with the id of each revision."),
        _tool(
            tools.forget,
            ForgetInput,
            "Erase for good what one revision learnt; what was learnt after it stays known.",
        ),
    ]


@dataclass(frozen=True, slots=True)
class _AdapterTools:
    """The tools' functions. Each returns the text that the chat model reads; `config` is LangChain's, of the run."""

    model: SelfAdaptingModel
    namespace: Sequence[str]
    self_edit: SelfEditConfig | None
    inner_loop: InnerLoopConfig | None
    gate: AnyGate
    trust: Trust

    def remember(self, text: str, config: RunnableConfig, title: str = "") -> str:
        model, adapter = self._adapter(config)
        with _as_tool_errors():
            if learnt := find_learnt(model, model.full_name(adapter), text):
                return f"Already known, as revision {learnt.id} of {learnt.created[:10]}; nothing was learnt again."
            revision = model.adapt(
                text,
                adapter=adapter,
                title=title,
                self_edit=self.self_edit,
                inner_loop=self.inner_loop,
                gate=self.gate,
                trust=self.trust,
            )
            return _learning_report(revision)

    def rollback(self, config: RunnableConfig) -> str:
        model, adapter = self._adapter(config)
        with _as_tool_errors():
            lineage = model.ledger.lineage(model.full_name(adapter))
            if not lineage:
                raise ToolException("there is nothing to roll back; nothing is learnt at present")
            active = model.rollback(adapter)
            return f"Rolled back {_describe(lineage[0])}. Now in use: {_describe(active)}."

    def history(self, config: RunnableConfig) -> str:
        model, adapter = self._adapter(config)
        with _as_tool_errors():
            return _history_text(model, adapter)

    def forget(self, revision: str, config: RunnableConfig) -> str:
        model, adapter = self._adapter(config)
        with _as_tool_errors():
            _check_ownership(model, adapter, revision)
            active = model.forget(revision, adapter=adapter)
            return f"Forgot {revision} for good. Now in use: {_describe(active)}."

    def _adapter(self, config: RunnableConfig) -> tuple[SelfAdaptingModel, str]:
        """A handle on the run's namespace, which reaches no other, and the adapter's name in it."""
        try:
            parts = namespace_for(self.namespace, _run_context(), config)
            return (self.model.in_namespace(parts), DEFAULT) if parts else (self.model, self.namespace[0])
        except InputError as error:
            raise UnknownUser(str(error)) from error


# ---------------------------------------------------------------- an adapter's revisions


def find_learnt(model: SelfAdaptingModel, adapter: str, text: str) -> Revision | None:
    """The revision in use that learnt exactly this text, white space aside; None if there is none."""
    matches = (revision for revision in model.ledger.lineage(adapter) if revision.context.text.split() == text.split())
    return next(matches, None)


def find_tried(model: SelfAdaptingModel, adapter: str, text: str, since: str) -> Revision | None:
    """The newest revision of this text since then, kept or not; None if there is none."""
    tried = (revision for revision in reversed(model.ledger.history(adapter)) if revision.created >= since)
    return next((revision for revision in tried if revision.context.text.split() == text.split()), None)


def _check_ownership(model: SelfAdaptingModel, adapter: str, revision_id: str) -> None:
    """Raises ToolException for a revision that is not this adapter's, without saying whether another adapter has it."""
    exists = model.ledger.is_known(model.full_name(adapter))
    if exists and revision_id in {revision.id for revision in model.history(adapter)}:
        return
    if exists and revision_id in {forgotten.id for forgotten in model.forgotten(adapter)}:
        raise ToolException(f"revision {revision_id!r} was forgotten before; history lists what is left")
    raise ToolException(f"there is no revision {revision_id!r} here; history lists those that can be forgotten")


# ---------------------------------------------------------------- texts that the chat model reads


def _learning_report(revision: Revision) -> str:
    result = "Learnt" if revision.accepted else "Quarantined" if revision.status == "quarantined" else "Not kept"
    return f"{result}: {_describe(revision)}, in {revision.seconds:.0f} seconds; {revision.reason}."


def _history_text(model: SelfAdaptingModel, adapter: str) -> str:
    """One line per revision, oldest first; only the newest MAX_LISTED of a long history."""
    if not model.ledger.is_known(model.full_name(adapter)):
        return "Nothing has been learnt yet."
    in_use = {revision.id for revision in model.ledger.lineage(model.full_name(adapter))}
    lines = [
        f"{_describe(revision)}, {revision.created[:10]}, {'in use' if revision.id in in_use else 'not in use'}"
        for revision in model.history(adapter)
    ]
    forgotten_lines = [
        f"{forgotten.id}, forgotten on {forgotten.forgotten[:10]}"
        for forgotten in model.forgotten(adapter)
        if forgotten.became is None
    ]
    omitted = [f"… and {len(lines) - MAX_LISTED} older ones"] if len(lines) > MAX_LISTED else []
    return (
        "\n".join([*omitted, *lines[-MAX_LISTED:], *forgotten_lines[-MAX_LISTED:]]) or "Nothing is learnt at present."
    )


def _describe(revision: Revision | None) -> str:
    if revision is None:
        return "the model as it was before it learnt anything"
    return f"{revision.id} ({subject_of(revision.context)})"


# ---------------------------------------------------------------- between LangChain and the model


def _tool(function: Callable[..., str], arguments: type[BaseModel], description: str) -> BaseTool:
    return StructuredTool.from_function(
        function, name=function.__name__, description=description, args_schema=arguments, handle_tool_error=_error_text
    )


def _error_text(error: ToolException) -> str:
    """The error as the tool's result; an UnknownUser is raised again, so that it ends the run."""
    if isinstance(error, UnknownUser):
        raise error
    return f"Error: {error}"


@contextmanager
def _as_tool_errors() -> Iterator[None]:
    """Turns a SealError into a ToolException, which the chat model reads."""
    try:
        yield
    except SealError as error:
        raise ToolException(str(error)) from error


def _run_context() -> object:
    """The context that the graph was invoked with; None outside a graph."""
    try:
        from langgraph.runtime import get_runtime
    except ImportError:
        return None
    try:
        runtime = get_runtime()
    except (RuntimeError, KeyError):
        return None
    return runtime.context if runtime is not None else None
