"""What a person is shown before drafts are learnt, and what they answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, model_validator

from seal_agent.integrations.drafts import Draft
from seal_agent.self_edits.parsing import notes_of

SHOWN_CHARACTERS = 2000  # of each text in an approval request; not tuned


class Approval(BaseModel):
    """The answer to an interrupt: {"approve": true | false | [ids of drafts]}, or that value alone."""

    approve: bool | list[str]

    @model_validator(mode="before")
    @classmethod
    def _wrap_bare_value(cls, value: Any) -> Any:
        return {"approve": value} if isinstance(value, bool | list) else value

    def includes(self, draft: Draft) -> bool:
        return self.approve if isinstance(self.approve, bool) else draft.id in self.approve


def approval_request(drafts: Sequence[Draft]) -> dict[str, Any]:
    """The interrupt's value: the drafts that a person is asked to approve."""
    return {
        "action": "adapt",
        "adapter": drafts[0].adapter,
        "drafts": [
            {
                "id": draft.id,
                "source": draft.source,
                "title": draft.context.title,
                "text": draft.context.text[:SHOWN_CHARACTERS],
                "notes": _note_lines(draft),
            }
            for draft in drafts
        ],
    }


def _note_lines(draft: Draft) -> list[str]:
    """The notes that would be trained on beside the text itself."""
    self_edits = draft.proposal.self_edits if draft.proposal else ()
    return [f"{note.text} {note.answer or ''}".strip() for note in notes_of(self_edits, draft.context.title)]
