"""The network is off while the standard tests run: sockets are refused, and the hub is not asked."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import pytest_socket


class Offline:
    """Inherit from this beside a suite of standard tests."""

    @pytest.fixture(autouse=True)
    def no_network(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        pytest_socket.disable_socket(allow_unix_socket=True)  # event loops wake themselves by one
        yield
        pytest_socket.enable_socket()
