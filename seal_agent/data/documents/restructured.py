"""Reads reStructuredText, as docutils renders it. Roles of Sphinx become their text."""

from __future__ import annotations

import re

from seal_agent.data.documents.document import Document
from seal_agent.data.documents.html import read_html
from seal_agent.errors import InputError, MissingDependency

_SPHINX_ROLE = re.compile(
    r":(?:[a-z]{1,4}:)?(?:attr|class|const|data|doc|download|envvar|exc|file|func|guilabel|kbd|keyword|menuselection"
    r"|meth|mod|obj|option|program|ref|samp|term|token|type):`(?:([^`<]+?)\s*<[^`>]*>|[~!]?(?:[\w.]*\.)?([^`]+))`"
)
_SETTINGS = {
    "file_insertion_enabled": False,  # nothing of another file, and no raw HTML
    "raw_enabled": False,
    "_disable_config": True,
    "report_level": 5,
    "halt_level": 5,
    "warning_stream": False,
    "doctitle_xform": False,
    "embed_stylesheet": False,
    "stylesheet_path": "",
    "math_output": "LaTeX",
    "smart_quotes": False,
    "syntax_highlight": "none",
}


def read_restructured(text: str) -> Document:
    """The document in a reStructuredText. Raises InputError, MissingDependency."""
    try:
        from docutils.core import publish_parts
    except ImportError as err:
        raise MissingDependency("reading reStructuredText needs docutils: pip install 'seal-agent[documents]'") from err
    plain = _SPHINX_ROLE.sub(lambda role: role.group(1) or role.group(2), text)
    try:
        rendered = publish_parts(plain, writer="html5", settings_overrides=_SETTINGS)
    except Exception as err:  # docutils raises errors of all kinds for what its directives refuse
        raise InputError(
            f"the reStructuredText cannot be parsed ({type(err).__name__}); correct it, or save it as .txt"
        ) from err
    return read_html(f"<html><body>{rendered['body']}</body></html>")
