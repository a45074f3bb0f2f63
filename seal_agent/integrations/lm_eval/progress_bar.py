"""A tqdm bar that counts finished units and shows the progress of the current stage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from seal_agent.progress import Progress

BeginStage = Callable[[str], Progress]
"""Called with a stage's name when it begins; returns the stage's progress callback."""


def stages_on(bar: Any, label: str) -> BeginStage:
    """Shows the label and the stage's name before the bar, and the stage's own progress after it."""

    def begin(name: str) -> Progress:
        bar.set_description(f"{label}: {name}")
        return lambda done, total: bar.set_postfix_str(f"{done}/{total}")

    return begin
