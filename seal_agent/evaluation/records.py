"""What a journal keeps of a passage, read back."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from seal_agent.evaluation.contestant import PassageRecord

_RECORD: TypeAdapter[PassageRecord] = TypeAdapter(PassageRecord)


def record_from_json(value: Any) -> PassageRecord:
    """The record of a journal's JSON value."""
    return _RECORD.validate_python(value)
