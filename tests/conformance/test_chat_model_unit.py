"""LangChain's standard unit tests of a chat model: making ChatSeal loads nothing."""

from __future__ import annotations

from typing import Any

from langchain_tests.unit_tests import ChatModelUnitTests
from offline import OfChatSeal


class TestChatSealUnit(OfChatSeal, ChatModelUnitTests):
    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": "default", "adapter": None}

    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        return {"LC_OUTPUT_VERSION": "v1"}, {"api_key": "unused"}, {"output_version": "v1", "api_key": "unused"}
