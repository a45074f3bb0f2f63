"""A judge behind an OpenAI-compatible endpoint: asked concurrently, retried on failure, and asked each prompt once."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    wait_exponential,
    wait_random,
)

from seal_agent.errors import InputError

RETRIED = (408, 409, 429, 500, 502, 503, 504)
TRANSIENT = (
    httpx.TimeoutException,
    httpx.NetworkError,
    httpx.ProxyError,
    httpx.RemoteProtocolError,  # among them a body that is cut short
    httpx.DecodingError,
)
LONGEST_PAUSE = 60.0  # seconds; not tuned: a server that asks for an hour is asked again after a minute
Understand = Callable[[str], str | None]
"""Parses a reply into the text that the cache keeps; None if the reply cannot be read."""


@dataclass(frozen=True, slots=True)
class JudgeUsage:
    """What judging has cost so far."""

    asked: int = 0
    """Judgements requested from the endpoint; retries are not counted."""
    cached: int = 0
    """Judgements found in the cache."""
    failed: int = 0
    """Judgements without a result: no reply, or an unreadable one."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    """Time spent waiting for replies, summed over concurrent requests."""
    dollars: float = 0.0


@dataclass(frozen=True, slots=True)
class Judgement:
    """A judge's reply as `understand` parsed it; or None, and the reason."""

    said: str | None
    failure: str = ""


class JudgeEndpoint:
    """A model that answers one prompt at a time, at temperature 0. Threads may share it.

    Proxies and certificates come from the environment, as httpx reads it (HTTPS_PROXY, NO_PROXY, SSL_CERT_FILE).

    Args:
        model: the model's name at the endpoint.
        base_url: the endpoint's address without `/chat/completions`.
        api_key_env: the environment variable that holds the key; no key is sent if it is unset.
        concurrency: how many requests `ask_all` sends at once.
        timeout: seconds that one attempt may take.
        retries: attempts after the first.
        pause: seconds before the first retry, doubled for each further one, plus a random part of up to `pause`.
            A server's Retry-After takes precedence, up to LONGEST_PAUSE.
        cache: a SQLite file of parsed replies; no prompt in it is asked again. Failed judgements are not kept.
        prices: dollars per million prompt tokens and per million completion tokens.

    Raises InputError for a base_url that is not http(s), a concurrency below 1, a cache file that cannot be used, or
    proxy and certificate variables that cannot be used.
    """

    def __init__(
        self,
        model: str,
        base_url: str,
        *,
        api_key_env: str,
        concurrency: int = 8,
        timeout: float = 60.0,
        retries: int = 5,
        pause: float = 0.5,
        cache: str | os.PathLike[str] | None = None,
        prices: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        if not base_url.startswith(("http://", "https://")):
            raise InputError(f"base_url must begin with http:// or https://, got {base_url!r}")
        if concurrency < 1:
            raise InputError(f"concurrency must be at least 1, got {concurrency}")
        self.model, self.concurrency, self.timeout, self.prices = model, concurrency, timeout, prices
        self._url = base_url.rstrip("/") + "/chat/completions"
        self._cache = _Cache(Path(cache)) if cache is not None else None
        self._usage, self._lock = JudgeUsage(), threading.Lock()
        self._retrying = Retrying(
            stop=stop_after_attempt(retries + 1),
            wait=_Wait(pause),
            retry=retry_if_exception(_is_transient),
            reraise=True,
        )
        self._client = _client(os.environ.get(api_key_env))
        weakref.finalize(self, self._client.close)

    @property
    def usage(self) -> JudgeUsage:
        """Counts, tokens, seconds and dollars so far."""
        with self._lock:
            return self._usage

    def ask(self, prompt: str, understand: Understand) -> Judgement:
        """Judge one prompt, from the cache if it is there."""
        key = hashlib.sha256(json.dumps([self._url, self.model, prompt]).encode()).hexdigest()
        if self._cache and (cached := self._cache.get(key)) is not None:
            self._count(cached=1)
            return Judgement(cached)
        judgement = self._ask(prompt, understand)
        if self._cache and judgement.said is not None:
            self._cache.put(key, judgement.said)
        return judgement

    def ask_all(self, prompts: Sequence[str], understand: Understand) -> list[Judgement]:
        """Judge many prompts, in order, `concurrency` of them at a time."""
        with ThreadPoolExecutor(self.concurrency) as pool:
            return list(pool.map(lambda prompt: self.ask(prompt, understand), prompts))

    def _ask(self, prompt: str, understand: Understand) -> Judgement:
        body: Any = {"model": self.model, "messages": [{"role": "user", "content": prompt}], "temperature": 0}
        started, reply = time.monotonic(), None
        try:
            raw = self._retrying(self._post, json.dumps(body))
        except httpx.HTTPStatusError as err:
            judgement = Judgement(None, f"the endpoint gave no answer ({_status(err)})")
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as err:  # UnicodeError: a host that IDNA cannot encode
            judgement = Judgement(None, f"the endpoint gave no answer ({type(err).__name__})")
        else:
            reply, judgement = _read(raw, understand)
        prompt_tokens, completion_tokens = _tokens(reply)
        self._count(
            asked=1,
            failed=int(judgement.said is None),
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            seconds=time.monotonic() - started,
            dollars=(prompt_tokens * self.prices[0] + completion_tokens * self.prices[1]) / 1e6,
        )
        return judgement

    def _post(self, body: str) -> bytes:
        """The reply to one attempt. Raises httpx.HTTPError."""
        deadline, parts = time.monotonic() + self.timeout, []
        with self._client.stream("POST", self._url, content=body, timeout=self.timeout) as response:
            response.raise_for_status()
            for part in response.iter_bytes():
                if time.monotonic() > deadline:  # httpx limits the time between two parts only
                    raise httpx.ReadTimeout("the reply came too slowly", request=response.request)
                parts.append(part)
        return b"".join(parts)

    def _count(self, **increments: float) -> None:
        with self._lock:
            self._usage = replace(self._usage, **{k: getattr(self._usage, k) + v for k, v in increments.items()})


# ---------------------------------------------------------------- HTTP


def _client(key: str | None) -> httpx.Client:
    """A pool of connections for one key. Raises InputError where the environment's settings cannot be used."""
    headers = {b"Content-Type": b"application/json"}
    if key:
        headers[b"Authorization"] = b"Bearer " + os.fsencode(key)
    unlimited = httpx.Limits()  # as many connections as threads ask; httpx's default would make the 101st wait
    try:
        return httpx.Client(headers=headers, limits=unlimited, follow_redirects=True)
    except (ImportError, OSError) as err:
        raise InputError(f"the proxy or certificate settings of the environment cannot be used ({err})") from err
    except (ValueError, httpx.InvalidURL):  # not quoted: a proxy's address may hold a password
        raise InputError("one of HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY holds no valid address") from None


class _Wait:
    """A tenacity wait: exponential backoff with jitter, or as long as the server asks, up to LONGEST_PAUSE seconds."""

    def __init__(self, pause: float) -> None:
        self._backoff = wait_exponential(multiplier=pause, max=LONGEST_PAUSE) + wait_random(0, pause)

    def __call__(self, state: RetryCallState) -> float:
        err = state.outcome.exception() if state.outcome else None
        asked = _retry_after(err.response) if isinstance(err, httpx.HTTPStatusError) else None
        return min(asked, LONGEST_PAUSE) if asked else self._backoff(state)


def _is_transient(err: BaseException) -> bool:
    """Whether another attempt may succeed."""
    if isinstance(err, httpx.HTTPStatusError):
        return err.response.status_code in RETRIED
    return isinstance(err, TRANSIENT)


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds from now by the Retry-After header, in seconds or as a date (RFC 9110, 10.2.3); None if not readable."""
    value = response.headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdecimal():
        return float(value)
    try:
        date = parsedate_to_datetime(value)
        return max(0.0, (date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
    except (ValueError, OverflowError):
        return None


def _status(err: httpx.HTTPStatusError) -> str:
    """Status and address, without what may be secret in the address."""
    url = err.request.url.copy_with(userinfo=b"", query=None)
    return f"{err.response.status_code} {err.response.reason_phrase} for url: {url}"


# ---------------------------------------------------------------- replies


def _read(raw: bytes, understand: Understand) -> tuple[Any, Judgement]:
    """The parsed body, None if it is no JSON, and the judgement in it."""
    try:
        reply = json.loads(raw)
    except ValueError:
        return None, Judgement(None, "the endpoint's answer is no JSON")
    return reply, _judgement(reply, understand)


def _judgement(reply: Any, understand: Understand) -> Judgement:
    """The judgement in a chat completion."""
    try:
        content = reply["choices"][0]["message"]["content"]
    except (TypeError, KeyError, IndexError):
        content = None
    if not isinstance(content, str):
        return Judgement(None, "the endpoint's answer holds no text")
    said = understand(content)
    return Judgement(said, "" if said is not None else f"its reply cannot be read: {content[:60]!r}")


def _tokens(reply: Any) -> tuple[int, int]:
    """Prompt and completion tokens of a chat completion; 0 where it has no count."""
    usage = reply.get("usage") if isinstance(reply, dict) else None
    usage = usage if isinstance(usage, dict) else {}
    prompt, completion = (
        n if isinstance(n := usage.get(k), int) else 0 for k in ("prompt_tokens", "completion_tokens")
    )
    return prompt, completion


class _Cache:
    """Parsed replies by the hash of their request, in a SQLite file that several processes may use."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._run("CREATE TABLE IF NOT EXISTS verdicts (key TEXT PRIMARY KEY, verdict TEXT NOT NULL)")
        except (OSError, sqlite3.Error) as err:
            raise InputError(f"{path} cannot keep a judge's verdicts ({err}); delete it, or choose another") from err

    def get(self, key: str) -> str | None:
        """The kept reply; None if there is none, or if the file has become unreadable."""
        try:
            rows = self._run("SELECT verdict FROM verdicts WHERE key = ?", key)
        except sqlite3.Error as err:
            warnings.warn(f"{self._path}: {err}; the judge is asked again", stacklevel=2)
            return None
        return rows[0][0] if rows else None

    def put(self, key: str, verdict: str) -> None:
        try:
            self._run("INSERT OR REPLACE INTO verdicts VALUES (?, ?)", key, verdict)
        except sqlite3.Error as err:
            warnings.warn(f"{self._path}: {err}; the verdict is not kept", stacklevel=2)

    def _run(self, statement: str, *values: str) -> list[Any]:
        with closing(self._open()) as db, db:
            return db.execute(statement, values).fetchall()

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=30)
