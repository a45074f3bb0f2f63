"""A judge behind an OpenAI-compatible endpoint: concurrent, patient, and asked each thing once."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

from seal_agent.errors import InputError

RETRIED = (408, 409, 429, 500, 502, 503, 504)
FAILURES = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
    urllib3.exceptions.HTTPError,  # while the body is read
)
LONGEST_PAUSE = 60.0  # seconds, our choice: a server that asks for an hour is asked again after a minute
Understand = Callable[[str], str | None]
"""What a reply says, in a form of its own that is kept on file; None where it cannot be read."""


@dataclass(frozen=True, slots=True)
class JudgeUsage:
    """What judging has cost so far."""

    asked: int = 0
    """Judgements that an endpoint was asked for; retries of one count once."""
    cached: int = 0
    """Judgements that were on file."""
    failed: int = 0
    """Judgements that came to nothing: no reply, or one that cannot be read."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    """Time spent waiting for replies, summed over concurrent requests."""
    dollars: float = 0.0


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a judge said, as it was understood; or None, and why."""

    said: str | None
    failure: str = ""


class JudgeEndpoint:
    """A model to which one prompt is put at a time, at temperature 0.

    `base_url` goes up to and without `/chat/completions`; the key is read from the environment variable `api_key_env`,
    and none is sent if that is unset. `prices` are dollars per million prompt and completion tokens. With `cache`, a
    file, what was understood is kept and nothing is asked twice; what fails after `retries` more attempts with growing
    pauses (each may take `timeout` seconds to reply), or cannot be read, is not kept.

    Raises InputError for a base_url that is not http(s), fewer than one request at once, or a file that cannot be used.
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
        self._key = os.environ.get(api_key_env)
        self._cache = _Cache(Path(cache)) if cache is not None else None
        self._usage, self._lock = JudgeUsage(), threading.Lock()
        self._patience = _Patience(
            total=retries,
            backoff_factor=pause,
            backoff_jitter=pause,
            allowed_methods=None,  # a judgement changes nothing: asking again is safe
        )
        self._session = requests.Session()
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(pool_maxsize=concurrency))

    @property
    def usage(self) -> JudgeUsage:
        """Counts, tokens, seconds and dollars so far."""
        with self._lock:
            return self._usage

    def ask(self, prompt: str, understand: Understand) -> Judgement:
        """Put a prompt to the judge, or to the file where its answer is kept."""
        key = hashlib.sha256(json.dumps([self._url, self.model, prompt]).encode()).hexdigest()
        if self._cache and (kept := self._cache.get(key)) is not None:
            self._count(cached=1)
            return Judgement(kept)
        judgement = self._ask(prompt, understand)
        if self._cache and judgement.said is not None:
            self._cache.put(key, judgement.said)
        return judgement

    def ask_all(self, prompts: Sequence[str], understand: Understand) -> list[Judgement]:
        """The same for many, in order, `concurrency` of them at a time."""
        with ThreadPoolExecutor(self.concurrency) as pool:
            return list(pool.map(lambda prompt: self.ask(prompt, understand), prompts))

    def _ask(self, prompt: str, understand: Understand) -> Judgement:
        body: Any = {"model": self.model, "messages": [{"role": "user", "content": prompt}], "temperature": 0}
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        started, reply = time.monotonic(), None
        try:
            reply = json.loads(self._post(body, headers))
            judgement = _judgement(reply, understand)
        except requests.HTTPError as err:
            judgement = Judgement(None, f"the endpoint gave no answer ({err})")
        except (requests.RequestException, urllib3.exceptions.HTTPError) as err:
            judgement = Judgement(None, f"the endpoint gave no answer ({type(err).__name__})")
        except ValueError:  # the body is not JSON
            judgement = Judgement(None, "the endpoint's answer is no JSON")
        asked, answered = _tokens(reply)
        self._count(
            asked=1,
            failed=int(judgement.said is None),
            prompt_tokens=asked,
            completion_tokens=answered,
            seconds=time.monotonic() - started,
            dollars=(asked * self.prices[0] + answered * self.prices[1]) / 1e6,
        )
        return judgement

    def _post(self, body: Any, headers: dict[str, str]) -> bytes:
        """The reply's body. Raises what the last attempt failed with."""
        patience = self._patience
        while True:
            response, failure = None, Exception()
            try:
                with self._session.post(
                    self._url, json=body, headers=headers, timeout=self.timeout, stream=True
                ) as response:
                    response.raise_for_status()
                    return _body(response, self.timeout)
            except requests.HTTPError as err:
                if err.response is not None and err.response.status_code not in RETRIED:
                    raise
                failure = err
            except FAILURES as err:
                failure = err
            try:
                patience = patience.increment("POST", self._url, error=failure)
            except urllib3.exceptions.MaxRetryError:
                raise failure from None
            patience.sleep(response.raw if response is not None else None)

    def _count(self, **more: float) -> None:
        with self._lock:
            self._usage = replace(self._usage, **{k: getattr(self._usage, k) + v for k, v in more.items()})


class _Patience(Retry):
    """Pauses between attempts: growing ones, or as long as the server asks, within reason."""

    def get_retry_after(self, response: Any) -> float | None:
        try:
            seconds = super().get_retry_after(response)
        except urllib3.exceptions.InvalidHeader:
            return None
        return None if seconds is None else min(seconds, LONGEST_PAUSE)


def _body(response: requests.Response, timeout: float) -> bytes:
    """All of it. Raises Timeout where it takes longer than `timeout` seconds, ProtocolError where it is cut short."""
    end, parts = time.monotonic() + timeout, []
    while part := response.raw.read1(65536, decode_content=True):
        if time.monotonic() > end:
            raise requests.Timeout("the reply came too slowly")
        parts.append(part)
    return b"".join(parts)


def _judgement(reply: Any, understand: Understand) -> Judgement:
    """What a chat completion says."""
    try:
        content = reply["choices"][0]["message"]["content"]
    except (TypeError, KeyError, IndexError):
        content = None
    if not isinstance(content, str):
        return Judgement(None, "the endpoint's answer holds no text")
    said = understand(content)
    return Judgement(said, "" if said is not None else f"its reply cannot be read: {content[:60]!r}")


def _tokens(reply: Any) -> tuple[int, int]:
    """Prompt and completion tokens of a chat completion; 0 where it does not say."""
    usage = reply.get("usage") if isinstance(reply, dict) else None
    usage = usage if isinstance(usage, dict) else {}
    asked, answered = (n if isinstance(n := usage.get(k), int) else 0 for k in ("prompt_tokens", "completion_tokens"))
    return asked, answered


class _Cache:
    """What was understood, by hash of what was asked, in a SQLite file that several processes may use."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._run("CREATE TABLE IF NOT EXISTS verdicts (key TEXT PRIMARY KEY, verdict TEXT NOT NULL)")
        except (OSError, sqlite3.Error) as err:
            raise InputError(f"{path} cannot keep a judge's verdicts ({err}); delete it, or choose another") from err

    def get(self, key: str) -> str | None:
        """What was kept; None where nothing was, or the file has become unreadable."""
        try:
            found = self._run("SELECT verdict FROM verdicts WHERE key = ?", key)
        except sqlite3.Error as err:
            warnings.warn(f"{self._path}: {err}; the judge is asked again", stacklevel=2)
            return None
        return found[0][0] if found else None

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
