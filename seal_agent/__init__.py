"""A language model that writes its own study notes, trains a small adapter on them, and can take it back."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seal_agent.adaptation.gate import KeepAll as KeepAll
    from seal_agent.adaptation.gate import MinimumGain as MinimumGain
    from seal_agent.config import AnswerConfig as AnswerConfig
    from seal_agent.config import GateConfig as GateConfig
    from seal_agent.config import InnerLoopConfig as InnerLoopConfig
    from seal_agent.config import Limits as Limits
    from seal_agent.config import SelfEditConfig as SelfEditConfig
    from seal_agent.errors import SealError as SealError
    from seal_agent.model import SelfAdaptingModel as SelfAdaptingModel
    from seal_agent.types import Answer as Answer
    from seal_agent.types import Context as Context
    from seal_agent.types import Message as Message
    from seal_agent.types import Proposal as Proposal
    from seal_agent.types import Question as Question
    from seal_agent.types import Revision as Revision
    from seal_agent.types import SelfEdit as SelfEdit
    from seal_agent.types import Verdict as Verdict

__version__ = "0.1.0"

_HOMES = {
    "seal_agent.config": ("AnswerConfig", "GateConfig", "InnerLoopConfig", "Limits", "SelfEditConfig"),
    "seal_agent.errors": ("SealError",),
    "seal_agent.adaptation.gate": ("KeepAll", "MinimumGain"),
    "seal_agent.model": ("SelfAdaptingModel",),
    "seal_agent.types": (
        "Answer",
        "Context",
        "Message",
        "Proposal",
        "Question",
        "Revision",
        "SelfEdit",
        "Verdict",
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}
__all__ = ["__version__", *sorted(_HOME_OF)]


def __getattr__(name: str) -> Any:
    """Import on first use: `import seal_agent` alone must not load torch."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'seal_agent' has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return __all__
