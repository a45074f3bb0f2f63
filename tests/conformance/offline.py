"""The network is off while the standard tests run: sockets are refused, and the hub is not asked."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import pytest_socket
from langchain_core.language_models import BaseChatModel

from seal_agent.integrations.langchain import ChatSeal


class Offline:
    """Inherit from this beside a suite of standard tests."""

    @pytest.fixture(autouse=True)
    def no_network(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        pytest_socket.disable_socket(allow_unix_socket=True)  # event loops wake themselves by one
        yield
        pytest_socket.enable_socket()


class OfChatSeal(Offline):
    """What both suites have to be told of ChatSeal."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatSeal

    @property
    def has_tool_calling(self) -> bool:
        return True

    @property
    def has_tool_choice(self) -> bool:
        return True

    @property
    def has_structured_output(self) -> bool:
        return True
