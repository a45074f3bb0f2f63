"""What callers hand over, as the values that stages take."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, get_args

from seal_agent.data.documents.document import Document
from seal_agent.data.documents.read import structure_of
from seal_agent.errors import InputError
from seal_agent.images.blocks import split_blocks
from seal_agent.images.pictures import as_pictures
from seal_agent.text.inflection import composed
from seal_agent.types import Context, Message, Question, Trust
from seal_agent.validation import check_whole_characters

MessageLike = Message | Mapping[str, Any]
QuestionLike = Question | Mapping[str, Any]


def as_context(
    context: str | Context | Document,
    title: str | None,
    questions: Sequence[QuestionLike] | None,
    trust: Trust | None = None,
) -> tuple[Context, Document | None]:
    """A context with the title and questions that are given beside it, if any, and its sections, if it has any.

    Accents are composed (NFC), as they are in what is asked later. A question may be a mapping as in files of
    questions, {"question": …, "answer": … or [aliases]}.

    Raises InputError for what cannot be learnt.
    """
    document = context if isinstance(context, Document) else None
    if document is not None:
        context = Context(document.text, document.title)
    whole = Context(context) if isinstance(context, str) else context
    if not isinstance(whole, Context) or not isinstance(whole.text, str) or not isinstance(title, str | None):
        raise InputError(f"a context is a text, a Context or a Document, with a text as title, but this is {context!r}")
    if title is not None:
        whole = replace(whole, title=" ".join(title.split()))
    whole = replace(whole, questions=as_questions(whole.questions if questions is None else questions))
    if trust is not None:
        whole = replace(whole, trust=trust)
    if whole.images:
        whole = replace(whole, images=as_pictures(whole.images))
    check_context(whole)
    whole = _composed(whole)
    document = document or structure_of(whole.text)
    if document is None or not document.has_structure:
        return whole, None
    document = replace(document, title=whole.title or document.title)
    return replace(whole, title=document.title), document


def as_questions(questions: Sequence[QuestionLike]) -> tuple[Question, ...]:
    """Questions with their answers; one that is a text is the only right one. Raises InputError."""
    if isinstance(questions, str | Mapping | Question) or not isinstance(questions, Iterable):
        raise InputError(f"questions are a list of Question(text, golds), but they are {questions!r}")
    return tuple(map(_as_question, questions))


def _as_question(question: QuestionLike) -> Question:
    text: object = None
    golds: object = None
    if isinstance(question, Question):
        text, golds = question.text, question.golds
    elif isinstance(question, Mapping):
        text, golds = question.get("question"), question.get("answer")
    golds = (golds,) if isinstance(golds, str) else golds
    if not isinstance(text, str) or not text.strip() or not isinstance(golds, list | tuple):
        raise InputError(
            'a question is Question("…", ("its answer",)) or {"question": "…", "answer": "…"}, '
            f"but this is {question!r}"
        )
    return Question(text, tuple(golds))


def _composed(context: Context) -> Context:
    questions = tuple(
        replace(question, text=composed(question.text), golds=tuple(map(composed, question.golds)))
        for question in context.questions
    )
    return replace(context, text=composed(context.text), title=composed(context.title), questions=questions)


def check_context(context: Context) -> None:
    """Raises InputError for text that cannot be stored or holds nothing to learn."""
    _check_text("the context", context.text)
    _check_text("the title", context.title)
    for question in context.questions:
        for text in (question.text, *question.golds):
            _check_text("a question", text)
    if context.trust not in get_args(Trust):
        raise InputError(f"trust is one of {', '.join(get_args(Trust))}, but it is {context.trust!r}")
    if not context.text.strip() and not context.images:
        raise InputError("the context is empty; give a text to learn from")
    if context.text.strip() and not any(map(str.isalnum, context.text)):
        raise InputError("the context holds no words, only signs; give a text to learn from")
    if any(unicodedata.category(letter) == "Cc" for letter in context.title):
        raise InputError(f"the title {context.title!r} holds control characters; give a title of words, or none")


def _check_text(what: str, text: str) -> None:
    if not isinstance(text, str):
        raise InputError(f"{what} is no text but {text!r}; give a string")
    if "\0" in text:
        raise InputError(f"{what} holds a NUL character at position {text.index(chr(0))}; remove it")
    check_whole_characters(what, text)


def as_messages(messages: Sequence[MessageLike]) -> tuple[Message, ...]:
    """Chat turns, with composed accents (NFC) but for the assistant's, which stay as given. Raises InputError."""
    if isinstance(messages, (str, Mapping, Message)) or not isinstance(messages, Iterable):
        raise InputError(f'messages are a list of {{"role": …, "content": "…"}}, but they are {messages!r}')
    turns = map(_as_message, messages)
    return tuple(turn if turn.role == "assistant" else replace(turn, content=composed(turn.content)) for turn in turns)


def _as_message(message: MessageLike) -> Message:
    if isinstance(message, Message):
        return message
    if not isinstance(message, Mapping):
        raise InputError(f'each message is {{"role": …, "content": "…"}}, but one is {message!r}')
    role, content = message.get("role"), message.get("content")
    if role not in ("system", "user", "assistant") or not isinstance(content, str | list | tuple):
        raise InputError('each message is {"role": "system" | "user" | "assistant", "content": "…"}')
    text, pictures = split_blocks(content)
    return Message(role, text, pictures=pictures)


def as_metadata(metadata: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Pairs sorted by key. Raises InputError for what is not text."""
    if not isinstance(metadata, Mapping):
        raise InputError(f"metadata is a mapping of text to text, but this is {metadata!r}; give a dictionary")
    for key, value in metadata.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise InputError(f"metadata maps text to text, but it has {key!r}: {value!r}; give both as strings")
        _check_text("metadata", key)
        _check_text("metadata", value)
    return tuple(sorted(metadata.items()))
