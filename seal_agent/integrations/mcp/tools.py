"""The MCP server of one adapter: tools that ask and teach it, and resources that show what it learnt."""

# No `from __future__ import annotations`: the SDK reads the annotations of tools.

import time
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import anyio.from_thread
import anyio.to_thread
from mcp.server.elicitation import AcceptedElicitation, ElicitationResult
from mcp.server.mcpserver import Context as Call
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ResourceError, ToolError
from mcp.server.mcpserver.resolve import Elicit, Resolve
from pydantic import BaseModel, Field

from seal_agent.integrations.mcp.desk import Answered, Desk, History, Learnt
from seal_agent.integrations.mcp.desk import Teaching as Teaching
from seal_agent.model import SelfAdaptingModel
from seal_agent.progress import StageProgress

SHOWN_CHARACTERS = 1500  # of a text that a person is asked about; not tuned
_PAUSE = 0.5  # seconds between two reports of progress
_Value = TypeVar("_Value")

INSTRUCTIONS = (
    "Tools of a language model that learns texts into its weights. `ask` it closed-book questions about what it was "
    "taught, naming the topic as title. `remember` teaches it a text for good and takes minutes. `history` lists what "
    "it learnt, `rollback` undoes the last lesson, `forget` erases one for good."
)


class Approval(BaseModel):
    """A person's answer."""

    approve: bool = Field(description="Let it happen.")


def create_server(
    seal: SelfAdaptingModel, adapter: str = "default", *, allow_writes: bool = False, teaching: Teaching | None = None
) -> MCPServer[Any]:
    """The server of one adapter; a client can neither see nor choose another.

    Args:
        allow_writes: Offer remember, rollback and forget. Where the client can ask its user, each is approved first.

    Raises InputError for what is no adapter's name.
    """
    server: MCPServer[Any] = MCPServer("seal-agent", instructions=INSTRUCTIONS)
    desk = Desk(seal, adapter, teaching or Teaching())
    _add_readers(server, desk)
    if allow_writes:
        _add_writers(server, desk)
    return server


def _add_readers(server: MCPServer[Any], desk: Desk) -> None:
    @server.tool()
    async def ask(question: str, title: str = "") -> Answered:
        """Ask a closed-book question. `title` is the topic that the text was learnt under."""
        return await _run(desk, lambda: desk.ask(question, title))

    @server.tool()
    async def history() -> History:
        """What was learnt, oldest first, with the id of each revision."""
        return await _run(desk, desk.history)

    @server.resource("seal://history", mime_type="application/json")
    async def history_resource() -> str:
        """What was learnt, oldest first."""
        return (await _run(desk, desk.history)).model_dump_json()

    @server.resource("seal://revisions/{revision}", mime_type="application/json")
    async def provenance(revision: str) -> str:
        """All that led to a revision: its text, notes, questions, checks and figures."""
        try:
            return await _run(desk, lambda: desk.provenance(revision))
        except ToolError as err:
            raise ResourceError(str(err)) from err


def _add_writers(server: MCPServer[Any], desk: Desk) -> None:
    def about_text(text: str, call: Call, title: str = "") -> Elicit[Approval] | Approval:
        shown = text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]} …"
        return _question(call, f"Learn this text{f' about {title}' if title else ''} for good?\n\n{shown}")

    def about_rollback(call: Call, to: str = "") -> Elicit[Approval] | Approval:
        return _question(call, f"Go back to {to or 'what was known before the last lesson'}?")

    def about_forgetting(revision: str, call: Call) -> Elicit[Approval] | Approval:
        return _question(call, f"Erase revision {revision} for good? This cannot be undone.")

    @server.tool()
    async def remember(
        text: str,
        call: Call,
        approval: Annotated[ElicitationResult[Approval], Resolve(about_text)],
        title: str = "",
    ) -> Learnt:
        """Learn a text for good, so that it is known without being shown again. Takes minutes.

        Give facts in whole sentences that can be understood on their own, and what they are about as title.
        """
        approved = _approved(call, approval)
        return await _run(desk, lambda: desk.remember(text, title, approved, _reporter(call)))

    @server.tool()
    async def rollback(
        call: Call, approval: Annotated[ElicitationResult[Approval], Resolve(about_rollback)], to: str = ""
    ) -> str:
        """Undo what was learnt last, or go back to a revision, or to "base". Nothing is deleted."""
        _approved(call, approval)
        return await _run(desk, lambda: desk.rollback(to))

    @server.tool()
    async def forget(
        revision: str, call: Call, approval: Annotated[ElicitationResult[Approval], Resolve(about_forgetting)]
    ) -> str:
        """Erase for good what one revision learnt; what was learnt after it stays known."""
        if not (_approved(call, approval) or desk.trusts_client):
            raise ToolError(
                f"this client cannot ask its user, and nothing is forgotten without; use `seal forget {revision:.60}`, "
                "or start the server with --trust-client"
            )
        return await _run(desk, lambda: desk.forget(revision, _reporter(call)))


def _can_ask(call: Call) -> bool:
    capabilities = call.client_capabilities
    return capabilities is not None and capabilities.elicitation is not None


def _question(call: Call, message: str) -> Elicit[Approval] | Approval:
    """Ask the client's user, where the client can; else the operator's --allow-writes stands."""
    return Elicit(message, Approval) if _can_ask(call) else Approval(approve=True)


def _approved(call: Call, approval: "ElicitationResult[Approval]") -> bool:
    """Whether a person agreed; False where nobody could be asked. Raises ToolError for a no."""
    if not isinstance(approval, AcceptedElicitation) or not approval.data.approve:
        raise ToolError("the user did not approve; nothing was changed")
    return _can_ask(call)


async def _run(desk: Desk, work: Callable[[], _Value]) -> _Value:
    """Work on a thread; its SealErrors become errors of the tool."""

    def on_thread() -> _Value:
        with desk.tool_errors():
            return work()

    return await anyio.to_thread.run_sync(on_thread)


def _reporter(call: Call) -> StageProgress:
    """Progress as notifications; raises where the client has cancelled, which leaves everything as it was."""
    last, reported = 0.0, 0

    def report(stage: str, done: int, total: int) -> None:
        nonlocal last, reported
        anyio.from_thread.check_cancelled()
        if done and time.monotonic() - last < _PAUSE:
            return
        last, reported = time.monotonic(), reported + 1
        message = f"{stage} {done}/{total}" if total > 1 else stage
        anyio.from_thread.run(call.report_progress, float(reported), None, message)

    return report
