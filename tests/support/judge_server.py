"""A local endpoint of chat completions that behaves as badly as a test wants."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Behaviour = Callable[[BaseHTTPRequestHandler, int, dict[str, Any]], None]


def reply(handler: BaseHTTPRequestHandler, content: object, status: int = 200, **headers: str) -> None:
    body = {"choices": [{"message": {"content": content}}], "usage": {"prompt_tokens": 50, "completion_tokens": 1}}
    send(handler, json.dumps(body).encode(), status, **headers)


def send(handler: BaseHTTPRequestHandler, raw: bytes, status: int = 200, **headers: str) -> None:
    handler.send_response(status)
    for name, value in {"Content-Length": str(len(raw)), **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(raw)


class Server:
    def __init__(self, behave: Behaviour) -> None:
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.busy = self.busiest = 0
        lock, outer = threading.Lock(), self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self.asking = True
                with lock:
                    outer.requests.append(body)
                    outer.keys.append(self.headers.get("Authorization"))
                    outer.busy += 1
                    outer.busiest = max(outer.busiest, outer.busy)
                    number = len(outer.requests)
                try:
                    behave(self, number, body)
                finally:
                    self.done()

            def send_response(self, code: int, message: str | None = None) -> None:
                self.done()  # who has an answer asks again before this thread goes on
                super().send_response(code, message)

            def done(self) -> None:
                with lock:
                    outer.busy -= self.asking
                    self.asking = False

            def log_message(self, *_: object) -> None: ...

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None: ...

        self._http = Quiet(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def __enter__(self) -> Server:
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
