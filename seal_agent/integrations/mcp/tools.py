"""The MCP server of one adapter: tools that ask and teach it, and resources that show what it learnt."""

# No `from __future__ import annotations`: the SDK reads the annotations of tools.

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import anyio.from_thread
import anyio.to_thread
from mcp.server.elicitation import AcceptedElicitation, ElicitationResult
from mcp.server.mcpserver import Context as Call
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ResourceError, ToolError
from mcp.server.mcpserver.resolve import Elicit, Resolve
from pydantic import BaseModel, Field

from seal_agent.adaptation.judging import DEFAULT_GATE, AnyGate
from seal_agent.config import InnerLoopConfig, SelfEditConfig
from seal_agent.errors import SealError
from seal_agent.model import SelfAdaptingModel
from seal_agent.progress import StageProgress
from seal_agent.store.entries import to_json
from seal_agent.types import Reply, Revision

SHOWN_CHARACTERS = 1500  # of a text that a person is asked about; not tuned
MAX_LISTED = 20  # newest revisions that `history` lists; not tuned
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


class Answered(BaseModel):
    """An answer from the weights. Where `from_adapter` is false, the base model answered without having learnt it."""

    answer: str
    from_adapter: bool
    confidence: float | None
    recalled: str
    revision: str | None


class Learnt(BaseModel):
    """A revision in short."""

    revision: str
    status: str
    title: str
    created: str
    reason: str
    in_use: bool


class History(BaseModel):
    """What was learnt, oldest first, and the ids of what was forgotten."""

    active: str | None
    revisions: list[Learnt]
    forgotten: list[str]


@dataclass(frozen=True, slots=True)
class Teaching:
    """How texts are learnt; None: as by default.

    Attributes:
        trust_client: A text counts as its user's own even where nobody was asked. Else it is quarantined then.
    """

    self_edit: SelfEditConfig | None = None
    inner_loop: InnerLoopConfig | None = None
    gate: AnyGate = DEFAULT_GATE
    trust_client: bool = False


def create_server(
    seal: SelfAdaptingModel, adapter: str = "default", *, allow_writes: bool = False, teaching: Teaching | None = None
) -> MCPServer[Any]:
    """The server of one adapter; a client can neither see nor choose another.

    Args:
        allow_writes: Offer remember, rollback and forget. Where the client can ask its user, each is approved first.
    """
    server: MCPServer[Any] = MCPServer("seal-agent", instructions=INSTRUCTIONS)
    desk = _Desk(seal, adapter, teaching or Teaching())
    _add_readers(server, desk)
    if allow_writes:
        _add_writers(server, desk)
    return server


class _Desk:
    """What the tools do, on worker threads."""

    def __init__(self, seal: SelfAdaptingModel, adapter: str, teaching: Teaching) -> None:
        self._seal, self.adapter, self._teaching = seal, adapter, teaching

    def ask(self, question: str, title: str) -> Answered:
        active = self._seal.ledger.active(self.adapter)
        reply: Reply = self._seal.reply(question, adapter=self.adapter, title=title)
        return Answered(
            answer=reply.text,
            from_adapter=reply.from_adapter,
            confidence=reply.confidence,
            recalled=reply.recalled,
            revision=active,
        )

    def remember(self, text: str, title: str, approved: bool, progress: StageProgress) -> Learnt:
        teaching = self._teaching
        revision = self._seal.adapt(
            text,
            adapter=self.adapter,
            title=title or None,
            trust="trusted" if approved or teaching.trust_client else "untrusted",
            self_edit=teaching.self_edit,
            inner_loop=teaching.inner_loop,
            gate=teaching.gate,
            metadata={"source": "mcp"},
            progress=progress,
        )
        return _learnt(revision, self._in_use())

    def history(self) -> History:
        if self.adapter not in self._seal.adapters():
            return History(active=None, revisions=[], forgotten=[])
        in_use = self._in_use()
        return History(
            active=self._seal.ledger.active(self.adapter),
            revisions=[_learnt(revision, in_use) for revision in self._seal.history(self.adapter)[-MAX_LISTED:]],
            forgotten=[gone.id for gone in self._seal.forgotten(self.adapter)[-MAX_LISTED:]],
        )

    def rollback(self, to: str) -> str:
        active = self._seal.rollback(self.adapter, to or None)
        return f"in use now: {active.id}" if active else "in use now: the base model, which has learnt nothing"

    def forget(self, revision: str, progress: StageProgress) -> str:
        active = self._seal.forget(self._own(revision).id, adapter=self.adapter, progress=progress)
        return f"forgot {revision} for good; in use now: {active.id if active else 'the base model'}"

    def provenance(self, revision: str) -> str:
        return to_json(self._own(revision))

    def _own(self, revision: str) -> Revision:
        """A revision of this adapter. Raises ToolError for others, without saying whether there are such."""
        known = self._seal.history(self.adapter) if self.adapter in self._seal.adapters() else []
        for recorded in known:
            if recorded.id == revision:
                return recorded
        raise ToolError(f"there is no revision {revision!r:.60}; history lists them")

    def _in_use(self) -> set[str]:
        return {revision.id for revision in self._seal.ledger.lineage(self.adapter)}


def _learnt(revision: Revision, in_use: set[str]) -> Learnt:
    return Learnt(
        revision=revision.id,
        status=revision.status,
        title=revision.context.title,
        created=revision.created,
        reason=revision.reason,
        in_use=revision.id in in_use,
    )


def _add_readers(server: MCPServer[Any], desk: _Desk) -> None:
    @server.tool()
    async def ask(question: str, title: str = "") -> Answered:
        """Ask a closed-book question. `title` is the topic that the text was learnt under."""
        return await _run(lambda: desk.ask(question, title))

    @server.tool()
    async def history() -> History:
        """What was learnt, oldest first, with the id of each revision."""
        return await _run(desk.history)

    @server.resource("seal://history", mime_type="application/json")
    async def history_resource() -> str:
        """What was learnt, oldest first."""
        return (await _run(desk.history)).model_dump_json()

    @server.resource("seal://revisions/{revision}", mime_type="application/json")
    async def provenance(revision: str) -> str:
        """All that led to a revision: its text, notes, questions, checks and figures."""
        try:
            return await _run(lambda: desk.provenance(revision))
        except ToolError as err:
            raise ResourceError(str(err)) from err


def _add_writers(server: MCPServer[Any], desk: _Desk) -> None:
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
        return await _run(lambda: desk.remember(text, title, approved, _reporter(call)))

    @server.tool()
    async def rollback(
        call: Call, approval: Annotated[ElicitationResult[Approval], Resolve(about_rollback)], to: str = ""
    ) -> str:
        """Undo what was learnt last, or go back to a revision, or to "base". Nothing is deleted."""
        _approved(call, approval)
        return await _run(lambda: desk.rollback(to))

    @server.tool()
    async def forget(
        revision: str, call: Call, approval: Annotated[ElicitationResult[Approval], Resolve(about_forgetting)]
    ) -> str:
        """Erase for good what one revision learnt; what was learnt after it stays known."""
        _approved(call, approval)
        return await _run(lambda: desk.forget(revision, _reporter(call)))


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


async def _run(work: Callable[[], _Value]) -> _Value:
    """Work on a thread; its SealErrors become errors of the tool."""

    def on_thread() -> _Value:
        with _tool_errors():
            return work()

    return await anyio.to_thread.run_sync(on_thread)


@contextmanager
def _tool_errors() -> Iterator[None]:
    try:
        yield
    except SealError as err:
        raise ToolError(str(err)) from err


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
