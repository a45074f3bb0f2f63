"""A page as text, a line each: reference number, role, name, value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

MOST_TEXT = 160  # characters of a paragraph; the families need none that is longer
_STATES = {"tab": ("open", "closed"), "checkbox": ("checked", "not checked"), "radio": ("checked", "not checked")}


def page_text(entries: Sequence[Mapping[str, Any]]) -> str:
    """The entries that page.js reads, as lines such as `[3] checkbox "News" (not checked)`."""
    return "\n".join(_text_line(entry) if "text" in entry else _line(entry) for entry in entries)


def _text_line(entry: Mapping[str, Any]) -> str:
    text = str(entry["text"])
    return text if len(text) <= MOST_TEXT else text[:MOST_TEXT].rstrip() + "…"


def _line(entry: Mapping[str, Any]) -> str:
    parts = [f"[{entry['number']}]", entry["role"]]
    if entry["name"]:
        parts.append(f'"{entry["name"]}"')
    if "value" in entry:
        parts.append(f'= "{entry["value"]}"')
    if "checked" in entry:
        parts.append(f"({_STATES[entry['role']][not entry['checked']]})")
    if "options" in entry:
        parts.append(f"({', '.join(entry['options'])})")
    return " ".join(parts)
