"""A page as text, a line each: reference number, role, name, value. And dates and times as fields take them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from seal_agent.agents.environments.calls import Arguments

MOST_TEXT = 160  # characters of a paragraph; the families need none that is longer
_WRITTEN = ("textbox", "spinbutton")  # roles that take text
_STATES = {"tab": ("open", "closed"), "checkbox": ("checked", "not checked"), "radio": ("checked", "not checked")}

_MOMENTS = {"date": ("%Y-%m-%d", "%m/%d/%Y"), "time": ("%H:%M", "%I:%M %p")}  # the field's own form first


def page_text(entries: Sequence[Mapping[str, Any]]) -> str:
    """The entries that page.js reads, as lines such as `[3] checkbox "News" (not checked)`."""
    return "\n".join(_text_line(entry) if "text" in entry else _line(entry) for entry in entries)


def page_calls(entries: Sequence[Mapping[str, Any]]) -> dict[str, list[Arguments]]:
    """The calls that the entries allow, as `possible` takes them; none that would change nothing at once."""
    elements = [(str(entry["number"]), entry) for entry in entries if "number" in entry]
    options = {
        ref: [each for each in entry["options"] if each != entry["value"]]
        for ref, entry in elements
        if "options" in entry
    }
    return {
        "click": [{"ref": [ref for ref, entry in elements if ref not in options]}],
        "type": [{"ref": [ref for ref, entry in elements if entry["role"] in _WRITTEN], "text": None}],
        "select": [{"ref": [ref], "option": others} for ref, others in options.items()],
    }


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


def moment_value(kind: str, text: str) -> str:
    """A date or a time, written as people do, as a field of this kind takes it; "" for anything else."""
    for form in _MOMENTS.get(kind, ()):
        try:
            return datetime.strptime(text.strip(), form).strftime(_MOMENTS[kind][0])
        except ValueError:
            continue
    return ""
