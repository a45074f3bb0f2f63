"""Reads Markdown: CommonMark with tables, and the title of a front matter."""

from __future__ import annotations

import re

from seal_agent.data.documents.document import Document
from seal_agent.data.documents.html import read_html
from seal_agent.errors import MissingDependency

_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?\n)(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_TITLE = re.compile(r"^title:[ \t]*[\"']?(.+?)[\"']?[ \t]*$", re.MULTILINE | re.IGNORECASE)


def read_markdown(text: str) -> Document:
    """The document in a Markdown text. Raises InputError, MissingDependency."""
    try:
        from markdown_it import MarkdownIt
    except ImportError as err:
        raise MissingDependency("reading Markdown needs markdown-it-py: pip install 'seal-agent[documents]'") from err
    text, title = text.replace("\r\n", "\n"), ""
    if matter := _FRONT_MATTER.match(text):
        found = _TITLE.search(matter.group(1))
        text, title = text[matter.end() :], found.group(1) if found else ""
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    return read_html(f"<html><body>{parser.render(text)}</body></html>", title)
