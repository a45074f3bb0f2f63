"""What the MCP server's tools do for one adapter, on worker threads. Other adapters are as if there were none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from mcp.server.mcpserver.exceptions import ToolError
from pydantic import BaseModel

from seal_agent.adaptation.judging import DEFAULT_GATE, AnyGate
from seal_agent.answering.recall import closed_book
from seal_agent.answering.replies import reader_at_hand, reply_all
from seal_agent.config import AnswerConfig, InnerLoopConfig, SelfEditConfig
from seal_agent.errors import InputError, SealError
from seal_agent.integrations.reasons import without_paths
from seal_agent.model import SelfAdaptingModel
from seal_agent.progress import StageProgress
from seal_agent.store.entries import to_json
from seal_agent.types import Reply, Revision

MAX_LISTED = 20  # newest revisions that `history` lists; not tuned


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
        trust_client: Where nobody can be asked, a text counts as its user's own all the same, and revisions may be
            forgotten. Else the text is quarantined then, and nothing is forgotten.
    """

    self_edit: SelfEditConfig | None = None
    inner_loop: InnerLoopConfig | None = None
    gate: AnyGate = DEFAULT_GATE
    trust_client: bool = False


class Desk:
    """What the tools do, on worker threads."""

    def __init__(self, seal: SelfAdaptingModel, adapter: str, teaching: Teaching) -> None:
        self._seal, self._adapter, self._full_name = seal, adapter, seal.full_name(adapter)
        self._teaching = teaching

    @property
    def trusts_client(self) -> bool:
        return self._teaching.trust_client

    def ask(self, question: str, title: str) -> Answered:
        active = self._seal.ledger.active(self._full_name)
        reply = self._reply(question, title)
        return Answered(
            answer=reply.text,
            from_adapter=reply.from_adapter,
            confidence=reply.confidence,
            recalled=reply.recalled,
            revision=active,
        )

    def _reply(self, question: str, title: str) -> Reply:
        """The adapter's reply, or the base model's where it has learnt nothing yet; no client waits for a reader."""
        if not question.strip():
            raise InputError("the question is empty; ask something")
        seal = self._seal
        asked = closed_book(title, question, seal.adapter(self._adapter) if self._is_known else None)
        (reply,) = reply_all(seal.engine, seal.base, [asked], AnswerConfig(), reader=reader_at_hand)
        return reply

    def remember(self, text: str, title: str, approved: bool, progress: StageProgress) -> Learnt:
        teaching = self._teaching
        revision = self._seal.adapt(
            text,
            adapter=self._adapter,
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
        if not self._is_known:
            return History(active=None, revisions=[], forgotten=[])
        in_use = self._in_use()
        return History(
            active=self._seal.ledger.active(self._full_name),
            revisions=[_learnt(revision, in_use) for revision in self._seal.history(self._adapter)[-MAX_LISTED:]],
            forgotten=[gone.id for gone in self._seal.forgotten(self._adapter)[-MAX_LISTED:]],
        )

    def rollback(self, to: str) -> str:
        if not self._is_known:
            raise ToolError("there is nothing to roll back; nothing is learnt yet")
        if to not in ("", "base"):
            self._own(to)
        active = self._seal.rollback(self._adapter, to or None)
        return f"in use now: {active.id}" if active else "in use now: the base model, which has learnt nothing"

    def forget(self, revision: str, progress: StageProgress) -> str:
        active = self._seal.forget(self._own(revision).id, adapter=self._adapter, progress=progress)
        return f"forgot {revision} for good; in use now: {active.id if active else 'the base model'}"

    def provenance(self, revision: str) -> str:
        return to_json(self._own(revision))

    @contextmanager
    def tool_errors(self) -> Iterator[None]:
        """Turns a SealError into an error of the tool, which does not say where the store lies."""
        try:
            yield
        except SealError as err:
            raise ToolError(without_paths(err, self._seal.home)) from err

    @property
    def _is_known(self) -> bool:
        return self._seal.ledger.is_known(self._full_name)

    def _own(self, revision: str) -> Revision:
        """A revision of this adapter. Raises ToolError for others, without saying whether there are such."""
        for recorded in self._seal.history(self._adapter) if self._is_known else ():
            if recorded.id == revision:
                return recorded
        raise ToolError(f"there is no revision {revision!r:.60}; history lists them")

    def _in_use(self) -> set[str]:
        return {revision.id for revision in self._seal.ledger.lineage(self._full_name)}


def _learnt(revision: Revision, in_use: set[str]) -> Learnt:
    return Learnt(
        revision=revision.id,
        status=revision.status,
        title=revision.context.title,
        created=revision.created,
        reason=revision.reason,
        in_use=revision.id in in_use,
    )
