"""Puts the start-up hook for lm-eval into the wheel, unless SEAL_NO_LM_EVAL_HOOK=1 declines it."""

from __future__ import annotations

import os
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CustomBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Used for editable installs too."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if os.environ.get("SEAL_NO_LM_EVAL_HOOK", "0") in ("", "0"):
            # Beside the packages, so that every interpreter reads it; the name sorts after `_editable_impl_*`.
            build_data["force_include"]["seal_agent/integrations/lm_eval/hook.pth"] = "seal_agent_lm_eval.pth"
