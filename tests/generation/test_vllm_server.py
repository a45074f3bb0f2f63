"""A `vllm serve` at an address: whether it serves the model that asks it. tests/with_vllm has what needs vLLM."""

from __future__ import annotations

import json
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from conftest import llama

from seal_agent.base_model.loading import load_model
from seal_agent.base_model.model import BaseModel
from seal_agent.config import VLLMConfig
from seal_agent.errors import BaseModelWarning, InputError
from seal_agent.generation.vllm.server import ServedVLLM


@contextmanager
def serving(root: str | None) -> Iterator[str]:
    """The address of a server that lists one model, as vLLM does."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"data": [{"id": "m", "root": root, "parent": None, "max_model_len": 99}]}).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def loaded(tiny_base: BaseModel, save_model: Callable[..., Path], tmp_path: Path) -> BaseModel:
    return load_model(save_model(tiny_base, tmp_path / "own"), dtype="float32")


def window_at(base: BaseModel, root: str | None) -> int:
    with serving(root) as url:
        return ServedVLLM(base, VLLMConfig(server=url)).window


def test_the_same_model_passes_wherever_it_lies(
    loaded: BaseModel, tiny_base: BaseModel, save_model: Callable[..., Path], tmp_path: Path
) -> None:
    copy = save_model(tiny_base, tmp_path / "copy")
    with warnings.catch_warnings():
        warnings.simplefilter("error", BaseModelWarning)
        for root in (loaded.source, str(copy), "/on/another/machine", "owner/of-a-hub-id", "", None):
            assert window_at(loaded, root) == 99
        assert window_at(tiny_base, "owner/any") == 99, "a model that was made in memory"


def test_another_model_in_a_folder_is_refused(
    loaded: BaseModel, tiny_base: BaseModel, save_model: Callable[..., Path], tmp_path: Path
) -> None:
    other = save_model(replace(tiny_base, module=llama(seed=1)), tmp_path / "other")
    with pytest.raises(InputError, match="which is not"):
        window_at(loaded, str(other))


def test_another_model_of_the_hub_is_warned_of(loaded: BaseModel) -> None:
    named = replace(loaded, name="owner/one")
    with pytest.warns(BaseModelWarning, match="'owner/other'"):
        assert window_at(named, "owner/other") == 99
