"""What a server refuses, and in which form; what it does when clients leave and when it is told to end."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from served import ADMIN_KEY, API_KEY, QUESTION, Served, serving
from typer.testing import CliRunner

from seal_agent.base_model.model import BaseModel
from seal_agent.cli.app import app as cli
from seal_agent.config import ServerConfig
from seal_agent.errors import InputError
from seal_agent.generation.hf import HFEngine
from seal_agent.integrations.keys import Keys, check_binding, key_from
from seal_agent.integrations.server.app import Settings
from seal_agent.integrations.server.limits import depth_of
from seal_agent.model import SelfAdaptingModel
from seal_agent.types import Sampling

TURNS: Any = [{"role": "user", "content": QUESTION}]
SMALL = ServerConfig(max_body_bytes=3000, max_waiting=3, max_rows=2, body_seconds=1.0, request_seconds=20.0)


@pytest.fixture
def seal(tiny_base: BaseModel, tmp_path: Path) -> SelfAdaptingModel:
    return SelfAdaptingModel(tiny_base, home=tmp_path)


@pytest.fixture
def locked(seal: SelfAdaptingModel) -> Iterator[Served]:
    with serving(seal, Settings(Keys(API_KEY, ADMIN_KEY), SMALL)) as served:
        yield served


def error_of(answer: httpx.Response) -> dict[str, Any]:
    error: dict[str, Any] = answer.json()["error"]
    assert {*error} == {"message", "type", "param", "code"}
    return error


class TestKeys:
    def test_clients_need_theirs(self, locked: Served) -> None:
        for wrong in ("none", API_KEY[:-1], API_KEY + "x", "é"):
            with locked.http() as http:
                answer = http.get("/v1/models", headers={"authorization": f"Bearer {wrong}".encode()})
            assert answer.status_code == 401
            assert error_of(answer)["code"] == "invalid_api_key"
        assert locked.openai(API_KEY).models.list().data
        assert locked.openai(ADMIN_KEY).models.list().data

    def test_adapters_need_the_administrators(self, locked: Served, seal: SelfAdaptingModel) -> None:
        for key, status in ((None, 401), (API_KEY, 403), (ADMIN_KEY, 200)):
            with locked.http(key) as http:
                assert http.get("/v1/adapters").status_code == status
                if key != ADMIN_KEY:
                    assert http.post("/v1/adapters/a/adapt", json={"text": "x"}).status_code == status
        assert not seal.adapters()

    def test_adapters_are_off_without_one(self, seal: SelfAdaptingModel) -> None:
        with serving(seal) as served, served.http() as http:
            answer = http.post("/v1/adapters/a/adapt", json={"text": "Tarnby Light stands on Ossel."})
        assert answer.status_code == 404
        assert "SEAL_ADMIN_KEY" in error_of(answer)["message"]

    def test_health_and_metrics_need_none(self, locked: Served) -> None:
        locked.openai(API_KEY).completions.create(model="tiny", prompt="One", max_tokens=3)
        with locked.http() as http:
            assert http.get("/health").json() == {"status": "ok"}
            figures = http.get("/metrics").text
        assert 'seal_requests_total{endpoint="/v1/completions",status="200"} 1.0' in figures
        assert 'seal_tokens_total{kind="completion"} 3.0' in figures
        assert "seal_rows_running 0.0" in figures

    def test_without_a_key_only_loopback_is_bound(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        for host in ("127.0.0.1", "localhost", "::1", "127.9.9.9"):
            check_binding(host, None)
        for host in ("0.0.0.0", "::", "192.168.0.2", "example.org", ""):
            check_binding(host, API_KEY)
            with pytest.raises(InputError, match="no key is set"):
                check_binding(host, None)
        monkeypatch.delenv("SEAL_API_KEY", raising=False)
        with pytest.raises(InputError, match="no key is set"):
            CliRunner().invoke(cli, ["serve", "--host", "0.0.0.0"], catch_exceptions=False)

    def test_keys_come_from_files_and_the_environment(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("SEAL_API_KEY", API_KEY)
        assert key_from("SEAL_API_KEY", None) == API_KEY
        (tmp_path / "key").write_text(f"{ADMIN_KEY}\n")
        assert key_from("SEAL_API_KEY", tmp_path / "key") == ADMIN_KEY
        (tmp_path / "key").write_text("short")
        for bad in (tmp_path / "key", tmp_path / "none"):
            with pytest.raises(InputError):
                key_from("SEAL_API_KEY", bad)
        with pytest.raises(InputError, match="the same"):
            Keys(API_KEY, API_KEY)
        assert API_KEY not in repr(Keys(API_KEY))

    def test_a_browser_may_not_name_another_host(self, seal: SelfAdaptingModel) -> None:
        with serving(seal) as served, served.http() as http:
            answer = http.get("/v1/models", headers={"host": "evil.example:80"})
            assert answer.status_code == 403
            assert http.get("/v1/models", headers={"host": "localhost"}).status_code == 200
            form = http.post("/v1/completions", content="{}", headers={"content-type": "text/plain"})
            assert form.status_code == 415


class TestSizes:
    def test_a_body_beyond_the_limit(self, locked: Served) -> None:
        body = {"model": "tiny", "prompt": "x" * 4000}
        with locked.http(API_KEY) as http:
            assert http.post("/v1/completions", json=body).status_code == 413
            chunks = (json.dumps(body).encode()[i : i + 500] for i in range(0, 4100, 500))
            headers = {"content-type": "application/json"}
            answer = http.post("/v1/completions", content=chunks, headers=headers)
        assert answer.status_code == 413
        assert error_of(answer)["code"] == "request_too_large"

    def test_a_body_that_does_not_come(self, locked: Served) -> None:
        host, _, port = locked.address.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            connection.sendall(
                f"POST /v1/completions HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {API_KEY}\r\n"
                "content-type: application/json\r\ncontent-length: 100\r\n\r\n{".encode()
            )
            assert connection.recv(100).startswith(b"HTTP/1.1 408")

    def test_nesting(self, locked: Served) -> None:
        assert depth_of(b'{"a": "[[[[\\"[[", "b": [[1]]}') == 3
        headers = {"content-type": "application/json"}
        with locked.http(API_KEY) as http:
            for body in ("[" * 900, '{"a":' * 200 + "1" + "}" * 200):
                assert http.post("/v1/completions", content=body, headers=headers).status_code == 400
            for body in ("", "{", "[]", '"x"', "nul", '{"model": NaN}'):
                assert error_of(http.post("/v1/completions", content=body, headers=headers))

    @pytest.mark.parametrize("text", ["x" * 2_000_000, "x\\\\n" * 700_000, "\\\\n" * 1_000_000])
    def test_a_long_text_takes_no_memory_to_look_through(self, text: str) -> None:
        body = f'{{"a": ["{text}"], "b": "[[["}}'.encode()
        tracemalloc.start()
        try:
            assert depth_of(body) == 2
            assert tracemalloc.get_traced_memory()[1] < 10_000_000
        finally:
            tracemalloc.stop()

    def test_a_long_body_is_answered(self, seal: SelfAdaptingModel) -> None:
        with serving(seal) as served, served.http() as http:
            answer = http.post("/v1/completions", json={"model": "tiny", "prompt": "x" * 900_000})
        assert answer.status_code == 400
        assert error_of(answer)["code"] == "context_length_exceeded"

    def test_no_body_is_read_where_no_route_takes_one(self, locked: Served) -> None:
        host, _, port = locked.address.removeprefix("http://").partition(":")
        for path in ("/", "/health", "/nowhere"):
            with socket.create_connection((host, int(port)), timeout=20) as connection:
                connection.sendall(f"POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 2000\r\n\r\n[".encode())
                assert connection.recv(100).split()[1] in (b"404", b"405"), "at once, without the rest of it"

    def test_a_full_queue(self, locked: Served) -> None:
        body = {"model": "tiny", "prompt": "One", "max_tokens": 300}

        def ask(_: int) -> httpx.Response:
            with locked.http(API_KEY) as http:
                return http.post("/v1/completions", json=body)

        with ThreadPoolExecutor(12) as pool:
            answers = list(pool.map(ask, range(12)))
        assert {answer.status_code for answer in answers} == {200, 429}
        refused = next(answer for answer in answers if answer.status_code == 429)
        assert refused.headers["retry-after"] == "2"
        assert error_of(refused)["code"] == "queue_full"

    def test_time(self, seal: SelfAdaptingModel) -> None:
        with serving(seal, Settings(limits=ServerConfig(request_seconds=0.2))) as served, served.http() as http:
            body = {"model": "tiny", "prompt": "One", "max_tokens": 1900}
            answer = http.post("/v1/completions", json=body)
            assert answer.status_code == 503
            assert "0.2 seconds" in error_of(answer)["message"]
            streamed = http.post("/v1/completions", json={**body, "stream": True})
            last = streamed.text.strip().splitlines()[-1]
            assert "0.2 seconds" in json.loads(last.removeprefix("data: "))["error"]["message"]


def running_rows(served: Served) -> float:
    with served.http() as http:
        lines = http.get("/metrics").text.splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith("seal_rows_running")))


def until(condition: Callable[[], bool], seconds: float = 20) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_stops_its_answer(seal: SelfAdaptingModel, stream: bool) -> None:
    with serving(seal) as served:
        body = json.dumps({"model": "tiny", "prompt": "One", "max_tokens": 2000, "n": 4, "stream": stream, "seed": 1})
        host, _, port = served.address.removeprefix("http://").partition(":")
        connection = socket.create_connection((host, int(port)), timeout=20)
        connection.sendall(
            f"POST /v1/completions HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n\r\n{body}".encode()
        )
        assert until(lambda: running_rows(served) == 4)
        connection.close()
        assert until(lambda: running_rows(served) == 0, seconds=5)


PROGRAM = """
import sys
from conftest import llama, tokenizer, with_reader
from served import API_KEY, ADMIN_KEY
from seal_agent.base_model.model import BaseModel
from seal_agent.integrations.server.app import Settings
from seal_agent.integrations.keys import Keys
from seal_agent.integrations.server.run import serve
from seal_agent.model import SelfAdaptingModel
from seal_agent.types import Sampling
base = with_reader(BaseModel("tiny", llama(), tokenizer(chat=True), "tiny-identity"))
serve(SelfAdaptingModel(base, home=sys.argv[1]), "127.0.0.1", int(sys.argv[2]), Settings(Keys(None, ADMIN_KEY)))
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_sigterm_lets_answers_end(tiny_base: BaseModel, tmp_path: Path) -> None:
    tests = Path(__file__).parents[2]
    path = os.pathsep.join([str(tests), str(tests / "support"), str(tests.parent), os.environ.get("PYTHONPATH", "")])
    port = free_port()
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(tmp_path), str(port)], env=environment)
    try:
        served, finished = Served(f"http://127.0.0.1:{port}"), []

        def healthy() -> bool:
            try:
                with served.http() as http:
                    return http.get("/health").status_code == 200
            except httpx.HTTPError:
                return False

        assert until(healthy, 120)

        def ask() -> None:
            answer = served.openai().completions.create(model="tiny", prompt="One", max_tokens=500)
            finished.append(answer.choices[0].text)

        asking = threading.Thread(target=ask)
        asking.start()
        assert until(lambda: running_rows(served) == 1)
        process.send_signal(signal.SIGTERM)
        asking.join(60)
        assert finished == [HFEngine(tiny_base).generate(["One"], Sampling(max_tokens=500))[0].text]
        assert process.wait(60) in (0, -signal.SIGTERM)  # uvicorn ends by the signal, when all is drained
    finally:
        process.kill()


def test_another_engine_streams_in_threads(tiny_base: BaseModel, tmp_path: Path) -> None:
    class Other:
        """An engine that is not the transformers one, as vLLM's is not."""

        def __init__(self) -> None:
            self._hf = HFEngine(tiny_base)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._hf, name)

    seal = SelfAdaptingModel(tiny_base, home=tmp_path, engine=Other())  # type: ignore[arg-type]
    with serving(seal) as served:
        warm = Sampling(max_tokens=9, temperature=1.0, seed=3)
        client, expected = served.openai(), HFEngine(tiny_base).generate(["One"] * 2, warm)
        answer = client.completions.create(model="tiny", prompt="One", max_tokens=9, temperature=1, seed=3, n=2)
        assert [choice.text for choice in answer.choices] == [completion.text for completion in expected]
        with pytest.raises(openai.BadRequestError, match="log-probabilities"):
            client.completions.create(model="tiny", prompt="One", logprobs=1)
