"""What a conversation gives to learn: documents that were handed over, and corrections of the last answer."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile

from seal_agent.errors import InputError, MissingDependency
from seal_agent.types import Context

try:
    from langchain_core.documents import Document
    from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
except ImportError as err:
    raise MissingDependency("agents need LangChain: pip install 'seal-agent[langchain]'") from err

_TEXTS = ("text/plain", "text/markdown")
_MARK = re.compile(
    r"(?:(?:no+|nope|wrong|incorrect|actually|correction|not quite|sorry|(?:that|this|it)(?:['’]s| is| was) "
    r"(?:not (?:right|correct|true)|wrong|incorrect|false)|you(?:['’]re| are) (?:wrong|mistaken))\b[\s,.:;!—–-]*)+",
    re.IGNORECASE,
)
_NO_STATEMENT = re.compile(
    r"(?:i|i'[a-z]+|please|do|don't|let's|you|can|could|would|should|what|why|how|who|where|when|which|try|just|thanks|"
    r"thank|need|problem|worries|never|more|longer|one)"
)
_FEWEST_WORDS = 3  # of a correction: "no, thanks" teaches nothing


# ---------------------------------------------------------------- documents


def as_context(document: object) -> Context:
    """A text, a LangChain Document, a mapping with "text" (or "page_content") and "title", or a Context.

    Raises InputError for anything else.
    """
    if isinstance(document, Context):
        return document
    if isinstance(document, str):
        return Context(document)
    if isinstance(document, Document):
        return Context(document.page_content, _line(document.metadata.get("title")))
    if isinstance(document, Mapping) and isinstance(text := document.get("text", document.get("page_content")), str):
        return Context(text, _line(document.get("title")))
    raise InputError(
        f'a document is a text, a Document or {{"text": …, "title": …}}, but this is of type {type(document).__name__}'
    )


def documents_in(messages: Sequence[BaseMessage]) -> Iterator[Context]:
    """Texts attached to a user's messages (blocks text-plain, and file of a text type), and Documents that tools found.

    Blocks that only point elsewhere, by an address or a file's id, are left alone.
    """
    for message in messages:
        if isinstance(message, HumanMessage):
            yield from _attached(message)
        elif isinstance(message, ToolMessage):
            found = message.artifact if isinstance(message.artifact, list | tuple) else [message.artifact]
            yield from (as_context(one) for one in found if isinstance(one, Document))


def _attached(message: HumanMessage) -> Iterator[Context]:
    for block in message.content_blocks:
        facts: Mapping[str, object] = {**block}
        if facts.get("type") not in ("text-plain", "file") or facts.get("mime_type", "text/plain") not in _TEXTS:
            continue
        text = facts.get("text") or _decoded(facts.get("base64"))
        if isinstance(text, str) and text.strip():
            yield Context(text, _line(facts.get("title")))


def _decoded(data: object) -> str:
    """Base64 of UTF-8; "" for what is none."""
    try:
        return base64.b64decode(data, validate=True).decode() if isinstance(data, str) else ""
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _line(title: object) -> str:
    return " ".join(title.split()) if isinstance(title, str) else ""


# ---------------------------------------------------------------- corrections


def is_correction(messages: Sequence[BaseMessage]) -> str | None:
    """What to learn from the user's last turn, with which `messages` end, if it corrects the answer before it.

    A turn that begins with "No, …", "That's wrong: …", "Actually, …" and goes on with a statement. The question that
    was answered is put before it, since "It is Tarawa." teaches nothing. A simple rule for English: it takes neither
    requests nor what a person says of themselves; give AdaptationMiddleware another for more.
    """
    if not messages or not isinstance(messages[-1], HumanMessage) or not _answered(messages[:-1]):
        return None
    said = " ".join(str(messages[-1].text).split())
    mark = _MARK.match(said)
    statement = said[mark.end() :] if mark else ""
    words = statement.split()
    if len(words) < _FEWEST_WORDS or statement.endswith("?") or _NO_STATEMENT.fullmatch(_plain(words[0])):
        return None
    return f"{_question_before(messages[:-1])}{statement[0].upper()}{statement[1:]}"


def _plain(word: str) -> str:
    return word.lower().replace("’", "'").strip(",.:;!")


def _answered(messages: Sequence[BaseMessage]) -> bool:
    return bool(messages) and isinstance(messages[-1], AIMessage) and bool(str(messages[-1].text).strip())


def _question_before(messages: Sequence[BaseMessage]) -> str:
    """The last question of the user with a space behind it, or ""."""
    asked = next((str(one.text).strip() for one in reversed(messages) if isinstance(one, HumanMessage)), "")
    return f"{asked} " if asked.endswith("?") else ""


def up_to_last_turn(messages: Sequence[BaseMessage]) -> Sequence[BaseMessage]:
    """The conversation as it was when the user had last spoken."""
    since = sum(1 for _ in takewhile(lambda one: not isinstance(one, HumanMessage), reversed(messages)))
    return messages[: len(messages) - since]
