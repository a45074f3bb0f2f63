"""Reads reStructuredText, as docutils renders it. Roles of Sphinx become their text."""

from __future__ import annotations

import re

from seal_agent.data.documents.document import Document
from seal_agent.data.documents.html import read_html
from seal_agent.errors import InputError, MissingDependency

_OBJECTS = "attr|class|const|data|exc|func|meth|mod|obj|type"  # roles of names with dots between their parts
_SPHINX_ROLE = re.compile(
    rf":(?:[a-z]{{1,4}}:)?({_OBJECTS}|doc|download|envvar|file|guilabel|kbd|keyword|menuselection|option|program|ref"
    r"|samp|term|token):`(?:([^`<]+?)\s*<[^`>]*>|([^`]+))`"
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
    plain = _SPHINX_ROLE.sub(_text_of, text)
    try:
        rendered = publish_parts(plain, writer="html5", settings_overrides=_SETTINGS)
    except Exception as err:  # docutils raises errors of all kinds for what its directives refuse
        raise InputError(
            f"the reStructuredText cannot be parsed ({type(err).__name__}); correct it, or save it as .txt"
        ) from err
    return read_html(f"<html><body>{rendered['body']}</body></html>")


def _text_of(role: re.Match[str]) -> str:
    """What Sphinx shows of a role: its title, or its target; behind "~" only the last part of an object's name."""
    name, title, target = role.groups()
    if title:
        return str(title)
    if name in _OBJECTS.split("|"):
        target = re.sub(r"^(?:~[\w.]*\.|~|\.)", "", target)
    return str(target).removeprefix("!")
