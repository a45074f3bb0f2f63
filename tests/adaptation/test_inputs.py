"""What callers hand over wrongly is refused in one sentence."""

from __future__ import annotations

from typing import Any

import pytest

from seal_agent.adaptation.inputs import as_messages
from seal_agent.errors import InputError
from seal_agent.types import Message


@pytest.mark.parametrize("messages", [None, 3, "hello", {"role": "user", "content": "hello"}, Message("user", "hello")])
def test_messages_are_a_list(messages: Any) -> None:
    with pytest.raises(InputError, match="messages are a list"):
        as_messages(messages)


@pytest.mark.parametrize("message", [None, "hello", 3, {"role": "robot", "content": "hi"}, {"content": "hi"}])
def test_each_message_has_a_role_and_a_text(message: Any) -> None:
    with pytest.raises(InputError, match="each message is"):
        as_messages([message])


def test_mappings_and_messages_may_be_mixed() -> None:
    turns = as_messages([{"role": "user", "content": "hi"}, Message("assistant", "hello")])
    assert turns == (Message("user", "hi"), Message("assistant", "hello"))
