"""Which of LangChain's standard tests take the bundled model long, and are left to `make test-full`."""

from __future__ import annotations

import pytest

LONG = (
    "test_conversation",
    "test_json_mode",
    "test_stream_time",
    "test_structured_output",
    "test_structured_output_async",
    "test_structured_output_optional_param",
    "test_structured_output_pydantic_2_v1",
)
"""15 to 37 s each; tests/integrations/langchain/chat asks the same of a tiny model."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if isinstance(item, pytest.Function) and item.originalname in LONG and item.get_closest_marker("real_model"):
            item.add_marker(pytest.mark.slow)
