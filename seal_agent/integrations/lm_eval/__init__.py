"""lm-eval's model `seal`: `lm_eval --model seal`.

Importing this package is cheap, since every interpreter beside an lm-eval without plug-ins does it (`hook`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seal_agent.integrations.lm_eval.model import SealLM as SealLM

__all__ = ["SealLM"]


def __getattr__(name: str) -> Any:
    """Import on first use: the model needs torch and lm-eval."""
    if name != "SealLM":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from seal_agent.integrations.lm_eval.model import SealLM

    return SealLM
