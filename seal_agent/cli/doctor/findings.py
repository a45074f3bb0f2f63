"""What a check of this machine found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "absent", "broken"]
"""ok: it works; absent: it is optional and not here; broken: it should work, and does not."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing, whether it works, and the line that mends it. Nothing works without what is essential."""

    name: str
    state: State
    detail: str
    fix: str = ""
    essential: bool = False

    @property
    def fails(self) -> bool:
        return self.essential and self.state == "broken"
