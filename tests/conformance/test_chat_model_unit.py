"""LangChain's standard unit tests of a chat model: making ChatSeal loads nothing."""

from __future__ import annotations

from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_tests.unit_tests import ChatModelUnitTests
from offline import Offline

from seal_agent.integrations.langchain import ChatSeal


class TestChatSealUnit(Offline, ChatModelUnitTests):
    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatSeal

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": "default", "adapter": None}

    @property
    def has_tool_calling(self) -> bool:
        return True

    @property
    def has_tool_choice(self) -> bool:
        return True

    @property
    def has_structured_output(self) -> bool:
        return True

    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        return {"LC_OUTPUT_VERSION": "v1"}, {"api_key": "unused"}, {"output_version": "v1", "api_key": "unused"}
