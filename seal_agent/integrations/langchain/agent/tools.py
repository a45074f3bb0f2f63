"""Tools by which an agent learns and unlearns: remember, rollback, history and forget, each for its own user only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from seal_agent.errors import InputError, MissingDependency, SealError
from seal_agent.integrations.drafts import subject_of
from seal_agent.integrations.namespaces import DEFAULT_NAMESPACE, check_namespace
from seal_agent.integrations.namespaces import adapter_for as adapter_for

try:
    from langchain_core.runnables import RunnableConfig
    from langchain_core.tools import BaseTool, StructuredTool, ToolException
except ImportError as err:
    raise MissingDependency("tools for agents need LangChain: pip install 'seal-agent[langchain]'") from err

from pydantic import BaseModel, Field

if TYPE_CHECKING:
    from seal_agent.adaptation.gate import Gate
    from seal_agent.config import InnerLoopConfig, SelfEditConfig
    from seal_agent.model import SelfAdaptingModel
    from seal_agent.types import Revision

SHOWN = 20  # our choice: revisions that `history` tells the model about


class UnknownUser(ToolException):
    """The run does not say whose adapter is meant. For the agent's author: the model is not told, the run ends."""


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
    gate: Gate | None = None,
) -> list[BaseTool]:
    """remember, rollback, history and forget, for the adapter that `namespace` means in each run.

    A part such as "{user_id}" is filled from the run's context or from config["configurable"], see `adapter_for`;
    the chat model that calls the tools neither sees it nor can it choose another. Where it is missing the run ends
    with a ToolException. Other errors go to the chat model as a tool message. The settings are those of
    `SelfAdaptingModel.adapt`. Raises InputError for an unusable namespace.
    """
    check_namespace(namespace)

    def adapter(config: RunnableConfig) -> str:
        try:
            return adapter_for(namespace, _context_of_run(), config)
        except InputError as error:
            raise UnknownUser(str(error)) from error

    def remember(text: str, config: RunnableConfig, title: str = "") -> str:
        name = adapter(config)
        with _told():
            if known := find_learnt(model, name, text):
                return f"Already known, as revision {known.id} of {known.created[:10]}; nothing was learnt again."
            learnt = model.adapt(text, adapter=name, title=title, self_edit=self_edit, inner_loop=inner_loop, gate=gate)
            return _reported(learnt)

    def rollback(config: RunnableConfig) -> str:
        name = adapter(config)
        with _told():
            in_use = model.ledger.lineage(name)
            if not in_use:
                raise ToolException("there is nothing to roll back; nothing is learnt at present")
            now = model.rollback(name)
            return f"Rolled back {_described(in_use[0])}. Now in use: {_described(now)}."

    def history(config: RunnableConfig) -> str:
        name = adapter(config)
        with _told():
            return _listed(model, name)

    def forget(revision: str, config: RunnableConfig) -> str:
        name = adapter(config)
        with _told():
            _check_own(model, name, revision)
            now = model.forget(revision, adapter=name)
            return f"Forgot {revision} for good. Now in use: {_described(now)}."

    return [
        _tool(remember, RememberInput, "Learn a text for good, so that it is known without being shown again. Slow."),
        _tool(rollback, NoInput, "Undo what was learnt last. Nothing is deleted."),
        _tool(history, NoInput, "List what was learnt, oldest first, with the id of each revision."),
        _tool(forget, ForgetInput, "Erase for good what one revision learnt; what was learnt after it stays known."),
    ]


# ---------------------------------------------------------------- what an adapter knows


def find_learnt(model: SelfAdaptingModel, adapter: str, text: str) -> Revision | None:
    """The revision in use that learnt just this text, white space aside."""
    same = (one for one in model.ledger.lineage(adapter) if one.context.text.split() == text.split())
    return next(same, None)


def _check_own(model: SelfAdaptingModel, adapter: str, revision: str) -> None:
    """ToolException for a revision that is not this adapter's; whether it is another's is not said."""
    used = adapter in model.adapters()
    if used and revision in {one.id for one in model.history(adapter)}:
        return
    if used and revision in {one.id for one in model.forgotten(adapter)}:
        raise ToolException(f"revision {revision!r} was forgotten before; history lists what is left")
    raise ToolException(f"there is no revision {revision!r} here; history lists those that can be forgotten")


# ---------------------------------------------------------------- what the chat model is told


def _reported(revision: Revision) -> str:
    done = "Learnt" if revision.accepted else "Not kept"
    return f"{done}: {_described(revision)}, in {revision.seconds:.0f} seconds; {revision.reason}."


def _listed(model: SelfAdaptingModel, adapter: str) -> str:
    """A line for each revision, the newest ones where they are many."""
    if adapter not in model.adapters():
        return "Nothing has been learnt yet."
    in_use = {one.id for one in model.ledger.lineage(adapter)}
    lines = [
        f"{_described(one)}, {one.created[:10]}, {'in use' if one.id in in_use else 'not in use'}"
        for one in model.history(adapter)
    ]
    gone = [f"{one.id}, forgotten on {one.forgotten[:10]}" for one in model.forgotten(adapter) if one.became is None]
    left_out = [f"… and {len(lines) - SHOWN} older ones"] if len(lines) > SHOWN else []
    return "\n".join([*left_out, *lines[-SHOWN:], *gone[-SHOWN:]]) or "Nothing is learnt at present."


def _described(revision: Revision | None) -> str:
    if revision is None:
        return "the model as it was before it learnt anything"
    return f"{revision.id} ({subject_of(revision.context)})"


# ---------------------------------------------------------------- between LangChain and the model


def _tool(function: Callable[..., str], arguments: type[BaseModel], description: str) -> BaseTool:
    return StructuredTool.from_function(
        function, name=function.__name__, description=description, args_schema=arguments, handle_tool_error=_for_model
    )


def _for_model(error: ToolException) -> str:
    if isinstance(error, UnknownUser):
        raise error
    return f"Error: {error}"


@contextmanager
def _told() -> Iterator[None]:
    """What the library raises on purpose becomes a ToolException, which the chat model reads."""
    try:
        yield
    except SealError as error:
        raise ToolException(str(error)) from error


def _context_of_run() -> object:
    """The context that the graph was invoked with; None outside of one."""
    try:
        from langgraph.runtime import get_runtime
    except ImportError:
        return None
    try:
        runtime = get_runtime()
    except (RuntimeError, KeyError):
        return None
    return runtime.context if runtime is not None else None
