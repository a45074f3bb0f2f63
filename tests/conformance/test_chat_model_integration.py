"""LangChain's standard integration tests of a chat model, on the bundled model and without a network."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_tests.integration_tests import ChatModelIntegrationTests
from offline import OfChatSeal

from seal_agent.base_model.loading import resolve

pytestmark = pytest.mark.real_model


class TestChatSealIntegration(OfChatSeal, ChatModelIntegrationTests):
    @pytest.fixture(autouse=True)
    def own_home(self, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
        monkeypatch.setenv("SEAL_HOME", str(tmp_path_factory.getbasetemp() / "home"))

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"max_tokens": 96}

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def supports_anthropic_inputs(self) -> bool:
        return True

    @property
    def supports_model_override(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str:
        """The same weights under another name: nothing else is on every machine."""
        return resolve("default")

    @property
    def enable_vcr_tests(self) -> bool:
        return True  # there is nothing to record, so the stream's time is measured on the model itself

    @pytest.mark.xfail(reason="a model of 135M parameters answers by itself where it may choose to call a tool")
    @pytest.mark.parametrize("model", [{}, {"output_version": "v1"}], indirect=True)
    def test_agent_loop(self, model: BaseChatModel) -> None:
        super().test_agent_loop(model)
