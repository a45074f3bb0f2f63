"""A judge behind an OpenAI-compatible endpoint: concurrent, patient, and asked each thing once."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

from seal_agent.errors import InputError

RETRIED = (408, 409, 429, 500, 502, 503, 504)
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
    file, what was understood is kept and nothing is asked twice; what fails after `retries` attempts with growing
    pauses, or cannot be read, is not kept.

    Raises InputError for a base_url that is not http(s), or fewer than one request at once.
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
        self._session = _patient_session(retries, pause, concurrency)

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
            response = self._session.post(self._url, json=body, headers=headers, timeout=self.timeout)
            response.raise_for_status()
            reply = response.json()
            judgement = _judgement(reply, understand)
        except requests.HTTPError as err:
            judgement = Judgement(None, f"the endpoint gave no answer ({err})")
        except requests.RequestException as err:
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

    def _count(self, **more: float) -> None:
        with self._lock:
            self._usage = replace(self._usage, **{k: getattr(self._usage, k) + v for k, v in more.items()})


def _patient_session(retries: int, pause: float, concurrency: int) -> requests.Session:
    retry = Retry(
        total=retries,
        backoff_factor=pause,
        backoff_jitter=pause,
        status_forcelist=RETRIED,
        allowed_methods=None,  # a judgement changes nothing: asking again is safe
        respect_retry_after_header=True,
        raise_on_status=False,
    )
    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(max_retries=retry, pool_maxsize=concurrency))
    return session


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
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        with closing(self._open()) as db, db:
            db.execute("CREATE TABLE IF NOT EXISTS verdicts (key TEXT PRIMARY KEY, verdict TEXT NOT NULL)")

    def get(self, key: str) -> str | None:
        with closing(self._open()) as db:
            row = db.execute("SELECT verdict FROM verdicts WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    def put(self, key: str, verdict: str) -> None:
        with closing(self._open()) as db, db:
            db.execute("INSERT OR REPLACE INTO verdicts VALUES (?, ?)", (key, verdict))

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=30)
