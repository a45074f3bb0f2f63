"""Reads a document from a file, by the file's kind, or from a text that is Markdown or HTML."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

from seal_agent.data.documents.document import Block, Document, Section
from seal_agent.data.documents.epub import read_epub
from seal_agent.data.documents.html import declared_charset, read_html
from seal_agent.data.documents.markdown import read_markdown
from seal_agent.data.documents.pdf import read_pdf
from seal_agent.data.documents.restructured import read_restructured
from seal_agent.data.documents.word import read_word
from seal_agent.data.text_files import decode_text, has_byte_order_mark, read_bytes
from seal_agent.errors import InputError
from seal_agent.text.layout import without_invisible

_BINARY: dict[str, Callable[[bytes, str], Document]] = {".pdf": read_pdf, ".docx": read_word, ".epub": read_epub}
_TEXT: dict[str, Callable[[str], Document]] = {
    **dict.fromkeys((".md", ".markdown", ".mdown", ".mkd"), read_markdown),
    **dict.fromkeys((".html", ".htm", ".xhtml"), read_html),
    **dict.fromkeys((".rst", ".rest"), read_restructured),
}
_PROSE = (".txt", ".text", "")  # may hold Markdown or HTML; a file of any other kind is text as it stands
KINDS = (*filter(None, _PROSE), *_TEXT, *_BINARY)
"""Endings of the files that hold documents."""
_OTHERS = {
    ".doc": "save it as .docx",
    ".odt": "save it as .docx",
    ".rtf": "save it as .docx",
    ".ppt": "export it as PDF",
    ".pptx": "export it as PDF",
    ".xls": "save the sheet as text",
    ".xlsx": "save the sheet as text",
    ".mobi": "convert it to EPUB",
}
_PAGE = re.compile(r"\s*(?:<\?xml[^>]*\?>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype html|html)\b", re.IGNORECASE | re.DOTALL)
_FENCED = re.compile(r"^(`{3,}|~{3,}).*?^\1[`~]*[ \t]*$", re.MULTILINE | re.DOTALL)
_MARKDOWN_HEADING = re.compile(r"#{1,6}[ \t]+\S*[^\W\d_]")
_CODE = re.compile(
    r"[ \t]|#!|.*[{};=\\,(]\s*$|[\w.\"'-]+\s*(?:[:=]\s*\S*$|=)|\w[\w.]*\(|[\w.-]+:\s|[@$\[{<]"
    r"|(?:import|from|def|class|return|function|const|let|var|export|source|set|echo|sudo|if|for|while|fi|done|end)\b"
)
CODE_SHARE = 0.34  # not tuned; a text with more lines that look like source code is no Markdown


def read_document(path: str | Path) -> Document:
    """Read a document: PDF, Word, EPUB, HTML, Markdown or reStructuredText by the file's ending, else text.

    Raises InputError for a file that cannot be read or holds no text, and MissingDependency.
    """
    raw, source, kind = read_bytes(path), str(Path(path).expanduser()), Path(path).suffix.lower()
    if kind in _OTHERS:
        raise InputError(f"{kind} files such as {source} cannot be read; {_OTHERS[kind]}")
    if kind in _BINARY or raw.startswith(b"%PDF-"):
        document = _BINARY.get(kind, read_pdf)(raw, source)
    else:
        document = _read_text(raw, source, kind)
    if not any(block.text.strip() for section in document.sections for block in section.blocks):
        raise InputError(f"{source} holds no text below its headings; give a text to learn from")
    return document


def structure_of(text: str) -> Document | None:
    """The sections of a text that is HTML or has Markdown's headings; None for any other text."""
    if _PAGE.match(text):
        return read_html(text)
    return read_markdown(text) if _has_markdown_headings(text) else None


def document_from_text(text: str) -> Document:
    """A text's sections; one without a heading for a text that has none."""
    return structure_of(text) or _plain(text)


def _plain(text: str) -> Document:
    return Document("", (Section((Block(without_invisible(text), whole=True),)),))


def _read_text(raw: bytes, source: str, kind: str) -> Document:
    charset = declared_charset(raw) if _TEXT.get(kind) is read_html else None
    if charset and charset != "utf-8" and not has_byte_order_mark(raw):
        try:
            raw = raw.decode(charset).encode()
        except (LookupError, UnicodeError):
            raise InputError(f"{source} is not {charset} text, as it says; save it as UTF-8") from None
    text = decode_text(raw, source)
    if not any(map(str.isalnum, text)):
        raise InputError(f"{source} holds no words, only signs; give a text to learn from")
    if kind in _TEXT:
        return _TEXT[kind](text)
    return document_from_text(text) if kind in _PROSE else _plain(text)


def _has_markdown_headings(text: str) -> bool:
    """Whether there are lines such as "## Leave" among prose; in source code they are comments."""
    lines = _FENCED.sub("", text).splitlines()
    headings = [(before, line) for before, line in pairwise(["", *lines]) if _MARKDOWN_HEADING.match(line)]
    others = [line for line in lines if line.strip() and not line.startswith("#")]
    if not headings or not others or any(before.strip() and before[0] != "#" for before, _ in headings):
        return False
    return sum(bool(_CODE.match(line)) for line in others) <= CODE_SHARE * len(others)
