"""What a conversation offers to learn: attached documents, and corrections of the last answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import takewhile

from seal_agent.errors import InputError, MissingDependency
from seal_agent.integrations.langchain.agent.corrections import stated_against
from seal_agent.integrations.langchain.chat.messages import attached_text
from seal_agent.types import Context

try:
    from langchain_core.documents import Document
    from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
except ImportError as err:
    raise MissingDependency("agents need LangChain: pip install 'seal-agent[langchain]'") from err


# ---------------------------------------------------------------- documents


def as_context(document: object) -> Context:
    """The context in a text, a LangChain Document, a mapping with "text" or "page_content", or a Context.

    Raises InputError for anything else.
    """
    if isinstance(document, Context):
        return document
    if isinstance(document, str):
        return Context(document)
    if isinstance(document, Document):
        return Context(document.page_content, _single_line(document.metadata.get("title")))
    if isinstance(document, Mapping) and isinstance(text := document.get("text", document.get("page_content")), str):
        return Context(text, _single_line(document.get("title")))
    raise InputError(
        f'a document is a text, a Document or {{"text": …, "title": …}}, but this is of type {type(document).__name__}'
    )


def documents_in(messages: Sequence[BaseMessage], from_tools: bool = False) -> Iterator[Context]:
    """Texts attached to user messages: text-plain blocks, and file blocks of a text type.

    With `from_tools` also Documents that tools return as artifacts, as untrusted contexts. Blocks that hold only a URL
    or a file id are skipped.
    """
    for message in messages:
        if isinstance(message, HumanMessage):
            yield from _attachments(message)
        elif from_tools and isinstance(message, ToolMessage):
            artifacts = message.artifact if isinstance(message.artifact, list | tuple) else [message.artifact]
            found = (as_context(artifact) for artifact in artifacts if isinstance(artifact, Document))
            yield from (replace(context, trust="untrusted") for context in found)


def _attachments(message: HumanMessage) -> Iterator[Context]:
    blocks = message.content if isinstance(message.content, list) else []
    for block in (block for block in blocks if isinstance(block, dict)):
        text = attached_text(block)
        if text and text.strip():
            yield Context(text, _single_line(block.get("title")))


def _single_line(title: object) -> str:
    return " ".join(title.split()) if isinstance(title, str) else ""


# ---------------------------------------------------------------- corrections


def is_correction(messages: Sequence[BaseMessage]) -> str | None:
    """The text to learn if the last message, from the user, corrects the answer before it; else None.

    A correction contradicts ("No, …", "That's wrong: …", "Actually, …") and goes on with a fact about what was asked.
    The question that was answered is put in front, since "It is Tarawa." teaches nothing by itself. This is a simple
    rule for English (corrections.py). Give AdaptationMiddleware another for more.
    """
    if not messages or not isinstance(messages[-1], HumanMessage) or not _ends_with_answer(messages[:-1]):
        return None
    turn, question = (" ".join(text.split()) for text in (str(messages[-1].text), _last_question(messages[:-1])))
    fact = stated_against(question, str(messages[-2].text), turn)
    return f"{question} {fact}".strip() if fact and question.endswith("?") else fact or None


def _ends_with_answer(messages: Sequence[BaseMessage]) -> bool:
    return bool(messages) and isinstance(messages[-1], AIMessage) and bool(str(messages[-1].text).strip())


def _last_question(messages: Sequence[BaseMessage]) -> str:
    """The user's last turn; "" where there is none."""
    return next((str(message.text).strip() for message in reversed(messages) if isinstance(message, HumanMessage)), "")


def up_to_last_turn(messages: Sequence[BaseMessage]) -> Sequence[BaseMessage]:
    """The conversation up to and including the user's last message."""
    later = sum(1 for _ in takewhile(lambda message: not isinstance(message, HumanMessage), reversed(messages)))
    return messages[: len(messages) - later]
