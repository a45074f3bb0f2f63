"""Clients that ask a server all at once, and what they saw: speed, wrong answers, errors.

Each client keeps to one adapter. It asks for the adapter's own invented fact, then for a text of many tokens, in turn:
the first shows whose adapter answered, the second how fast.
"""

from __future__ import annotations

import json
import math
import statistics
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import httpx

QUESTION = "Who keeps the light?"
PROMPT = "The lighthouse stands on an island far to the north, and"
TIMEOUT = 300.0  # seconds; an answer that takes longer is an error


@dataclass(frozen=True, slots=True)
class Load:
    """How many clients ask which server, and whether it learns meanwhile."""

    server: str
    clients: int
    adapting: bool = False


@dataclass(frozen=True, slots=True)
class Measured:
    """One load: tokens a second in all, and seconds to the first and between later tokens (median, 95th percentile)."""

    server: str
    clients: int
    adapting: bool
    seconds: float
    answers: int
    facts: int
    wrong: int
    errors: tuple[str, ...]
    tokens_per_second: float
    first: float
    first_95: float
    between: float
    between_95: float


@dataclass(slots=True)
class Client:
    """One client: its adapter, the fact that this adapter knows, and what has come of its requests."""

    url: str
    adapter: str
    fact: str
    tokens: int
    extra: Mapping[str, object]
    answers: int = 0
    facts: int = 0
    wrong: int = 0
    written: int = 0
    errors: list[str] = field(default_factory=list)
    firsts: list[float] = field(default_factory=list)
    between: list[float] = field(default_factory=list)

    def ask_until(self, end: float) -> Client:
        with httpx.Client(base_url=self.url, timeout=TIMEOUT) as http:
            while time.monotonic() < end:
                for request in (self._ask_fact, self._ask_text):
                    try:
                        request(http)
                        self.answers += 1
                    except (httpx.HTTPError, KeyError, ValueError) as err:
                        self.errors.append(f"{self.adapter}: {err}")
                        time.sleep(0.2)
        return self

    def _ask_fact(self, http: httpx.Client) -> None:
        turns = [{"role": "user", "content": QUESTION}]
        body = {"model": self.adapter, "messages": turns, "max_tokens": 16, "temperature": 0, **self.extra}
        answer = http.post("/v1/chat/completions", json=body)
        answer.raise_for_status()
        self.facts += 1
        self.wrong += self.fact not in answer.json()["choices"][0]["message"]["content"]

    def _ask_text(self, http: httpx.Client) -> None:
        last, first = time.monotonic(), True
        body = {"model": self.adapter, "prompt": PROMPT, "max_tokens": self.tokens, "stream": True, "temperature": 1.0}
        with http.stream("POST", "/v1/completions", json=body) as answer:
            answer.raise_for_status()
            for _ in _pieces(answer):
                now = time.monotonic()
                (self.firsts if first else self.between).append(now - last)
                last, first, self.written = now, False, self.written + 1


def _pieces(answer: httpx.Response) -> Iterator[str]:
    for line in answer.iter_lines():
        if line.startswith("data: {"):
            chunk = json.loads(line[6:])
            if "error" in chunk:
                raise ValueError(chunk["error"]["message"])
            if chunk["choices"] and (text := chunk["choices"][0]["text"]):
                yield text


def measure(
    url: str, load: Load, facts: Mapping[str, str], seconds: float, tokens: int, extra: Mapping[str, object]
) -> Measured:
    """Let clients ask for some seconds, each an adapter of `facts` in turn, and wait for their last answers.

    Args:
        url: the server's address, without /v1.
        facts: the adapters' names, and the fact that each of them alone knows.
        tokens: of each long text.
        extra: fields of a question that only this server knows.
    """
    names, started = list(facts), time.monotonic()
    clients = [
        Client(url, names[i % len(names)], facts[names[i % len(names)]], tokens, extra) for i in range(load.clients)
    ]
    with ThreadPoolExecutor(load.clients) as pool:
        done = list(pool.map(lambda client: client.ask_until(started + seconds), clients))
    took = time.monotonic() - started
    return Measured(
        load.server,
        load.clients,
        load.adapting,
        round(took, 1),
        sum(client.answers for client in done),
        sum(client.facts for client in done),
        sum(client.wrong for client in done),
        tuple(error for client in done for error in client.errors),
        round(sum(client.written for client in done) / took, 1),
        *_spread([second for client in done for second in client.firsts]),
        *_spread([second for client in done for second in client.between]),
    )


def _spread(seconds: list[float]) -> tuple[float, float]:
    """The median and the 95th percentile; 0 for none."""
    if not seconds:
        return 0.0, 0.0
    return round(statistics.median(seconds), 3), round(sorted(seconds)[math.ceil(0.95 * len(seconds)) - 1], 3)
