"""The lm-eval model `seal`: `lm_eval --model seal`.

Importing this package must be cheap: with an lm-eval that lacks plug-in discovery, every process that imports
`lm_eval.models` imports it too (see `hook`).
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
