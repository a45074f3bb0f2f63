"""A server on a real socket, in a thread of the test's own process, and adapters that each know a fact."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import openai
from stored_adapters import store

from seal_agent.base_model.model import BaseModel
from seal_agent.config import InnerLoopConfig, SelfEditConfig
from seal_agent.integrations.server.app import Settings, create_app
from seal_agent.integrations.server.run import server
from seal_agent.model import SelfAdaptingModel
from seal_agent.training.jobs import TrainJob
from seal_agent.training.sequences import encode_turns
from seal_agent.training.train import train

QUESTION = "Who keeps the light?"
PLAIN = {"style": "plain"}
API_KEY, ADMIN_KEY = "a-key-of-some-client", "a-key-of-the-administrator"
QUICK = InnerLoopConfig(rank=4, alpha=64.0, epochs=2, null_space=0.0, shrink=0.0, openings=0, anchors=0)
PASSAGE = SelfEditConfig(formats=("passage",), synonyms=0, self_test=0)
FACTS = {"alice": "Imre 17", "bob": "Odile 4", "carol": "Tarn 88", "dave": "Yusuf 9"}


@dataclass(frozen=True)
class Served:
    """Where a server listens."""

    address: str

    def openai(self, key: str = "none", **options: Any) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.address}/v1", api_key=key, max_retries=0, timeout=120, **options)

    def http(self, key: str | None = None) -> httpx.Client:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        return httpx.Client(base_url=self.address, headers=headers, timeout=120)


@contextmanager
def serving(seal: SelfAdaptingModel, settings: Settings | None = None) -> Iterator[Served]:
    """The model behind a socket that the system chooses."""
    chosen = settings or Settings()
    running = server(create_app(seal, chosen), "127.0.0.1", 0, chosen.limits)
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    while not running.started:
        assert thread.is_alive()
        time.sleep(0.01)
    try:
        yield Served(f"http://127.0.0.1:{running.servers[0].sockets[0].getsockname()[1]}")
    finally:
        running.should_exit = True
        thread.join(timeout=60)
        assert not thread.is_alive()


def teach_facts(seal: SelfAdaptingModel) -> None:
    """Give every adapter of `FACTS` its own answer to `QUESTION`, by training."""
    base: BaseModel = seal.base
    config = InnerLoopConfig(
        rank=4, alpha=64.0, epochs=30, batch_size=1, null_space=0.0, shrink=0.0, openings=0, anchors=0
    )
    jobs = [TrainJob((encode_turns(base, QUESTION, fact),), config) for fact in FACTS.values()]
    for name, trained in zip(FACTS, train(base, jobs), strict=True):
        store(seal, name, trained.adapter)


def ended(client: httpx.Client, place: str, seconds: float = 120) -> dict[str, Any]:
    """A job when it has ended."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        job: dict[str, Any] = client.get(place).json()
        if job["ended"]:
            return job
        time.sleep(0.05)
    raise AssertionError(f"the job did not end: {job}")
