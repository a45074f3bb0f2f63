"""LangChain's standard tests of image inputs, on a tiny model that sees."""

from __future__ import annotations

import base64
from types import SimpleNamespace
from typing import Any

import pytest
from langchain_tests.integration_tests import ChatModelIntegrationTests, chat_models
from offline import OfChatSeal
from seeing_models import folder_of, picture


class TestChatSealSees(OfChatSeal, ChatModelIntegrationTests):
    @pytest.fixture(autouse=True)
    def own_home(self, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
        monkeypatch.setenv("SEAL_HOME", str(tmp_path_factory.getbasetemp() / "home"))
        served = SimpleNamespace(content=base64.b64decode(picture(1, 200, 120).png))
        monkeypatch.setattr(chat_models.httpx, "get", lambda url, timeout: served)  # the suite's picture is on the web

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": str(folder_of("llava")), "dtype": "float32", "max_tokens": 8}

    @property
    def supports_image_inputs(self) -> bool:
        return True

    @property
    def supports_image_tool_message(self) -> bool:
        return True


for name in dir(ChatModelIntegrationTests):  # the others are tests of what a model says
    if name.startswith("test_") and name not in ("test_image_inputs", "test_image_tool_message"):
        setattr(TestChatSealSees, name, None)
