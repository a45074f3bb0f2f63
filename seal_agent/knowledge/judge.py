"""A model behind an OpenAI-compatible endpoint as grader: concurrent, patient, and asked each thing once."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sqlite3
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

from seal_agent.errors import InputError
from seal_agent.prompts import fill, load_prompt
from seal_agent.types import Verdict

RETRIED = (408, 409, 429, 500, 502, 503, 504)
_REPLY = re.compile(r"\W*(yes|no)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class JudgeUsage:
    """What judging has cost so far."""

    asked: int = 0
    """Judgements that an endpoint was asked for; retries of one count once."""
    cached: int = 0
    """Judgements that were on file."""
    failed: int = 0
    """Judgements that came back as UNGRADED: no reply, or one that is neither yes nor no."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    """Time spent waiting for replies, summed over concurrent requests."""
    dollars: float = 0.0


class JudgeGrader:
    """Asks a model whether an answer says what a gold answer says. Implements Grader.

    `base_url` is that of any OpenAI-compatible endpoint, up to and without `/chat/completions`; the key is read from
    the environment variable `api_key_env`, and none is sent if that is unset. `prices` are dollars per million prompt
    and completion tokens. With `cache`, a file, every reply is kept and nothing is asked twice. A judgement that fails
    after `retries` attempts with growing pauses, or that cannot be read, is UNGRADED, never WRONG, and not kept.

    Raises InputError for a base_url that is not http(s), or fewer than one request at once.
    """

    def __init__(
        self,
        model: str,
        base_url: str = "https://api.openai.com/v1",
        *,
        api_key_env: str = "OPENAI_API_KEY",
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
        self._template = load_prompt("judge")
        self._cache = _Cache(Path(cache)) if cache is not None else None
        self._usage, self._lock = JudgeUsage(), threading.Lock()
        retry = Retry(
            total=retries,
            backoff_factor=pause,
            backoff_jitter=pause,
            status_forcelist=RETRIED,
            allowed_methods=None,  # a judgement changes nothing: asking again is safe
            respect_retry_after_header=True,
            raise_on_status=False,
        )
        self._session = requests.Session()
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(max_retries=retry, pool_maxsize=concurrency))

    @property
    def usage(self) -> JudgeUsage:
        """Counts, tokens, seconds and dollars since this grader was made."""
        with self._lock:
            return self._usage

    def grade(self, question: str, golds: Sequence[str], answer: str) -> Verdict:
        if not any(gold.strip() for gold in golds):
            return Verdict.UNGRADED
        if not answer.strip():
            return Verdict.WRONG
        prompt = fill(
            self._template, question=question, golds=json.dumps(list(golds), ensure_ascii=False), answer=answer
        )
        key = hashlib.sha256(json.dumps([self._url, self.model, prompt]).encode()).hexdigest()
        if self._cache and (kept := self._cache.get(key)) is not None:
            self._count(cached=1)
            return Verdict(kept)
        verdict = self._ask(prompt)
        if self._cache and verdict is not Verdict.UNGRADED:
            self._cache.put(key, verdict.value)
        return verdict

    def grade_all(self, items: Sequence[tuple[str, Sequence[str], str]]) -> list[Verdict]:
        """Verdicts on (question, golds, answer) in order, `concurrency` of them at a time."""
        with ThreadPoolExecutor(self.concurrency) as pool:
            return list(pool.map(lambda item: self.grade(*item), items))

    def _ask(self, prompt: str) -> Verdict:
        body: Any = {"model": self.model, "messages": [{"role": "user", "content": prompt}], "temperature": 0}
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        started, reply = time.monotonic(), None
        try:
            response = self._session.post(self._url, json=body, headers=headers, timeout=self.timeout)
            response.raise_for_status()
            reply = response.json()
        except (requests.RequestException, ValueError):  # ValueError: the body is not JSON
            pass
        verdict, tokens = _read(reply)
        asked, answered = tokens
        self._count(
            asked=1,
            failed=int(verdict is Verdict.UNGRADED),
            prompt_tokens=asked,
            completion_tokens=answered,
            seconds=time.monotonic() - started,
            dollars=(asked * self.prices[0] + answered * self.prices[1]) / 1e6,
        )
        return verdict

    def _count(self, **more: float) -> None:
        with self._lock:
            self._usage = replace(self._usage, **{k: getattr(self._usage, k) + v for k, v in more.items()})


def _read(reply: Any) -> tuple[Verdict, tuple[int, int]]:
    """The verdict of a chat completion, and its prompt and completion tokens; UNGRADED if it is not understood."""
    try:
        found = _REPLY.match(reply["choices"][0]["message"]["content"])
    except (TypeError, KeyError, IndexError):
        found = None
    usage = reply.get("usage") if isinstance(reply, dict) else None
    usage = usage if isinstance(usage, dict) else {}
    tokens = tuple(n if isinstance(n := usage.get(k), int) else 0 for k in ("prompt_tokens", "completion_tokens"))
    if found is None:
        return Verdict.UNGRADED, (tokens[0], tokens[1])
    return Verdict.CORRECT if found[1].casefold() == "yes" else Verdict.WRONG, (tokens[0], tokens[1])


class _Cache:
    """Verdicts by hash of what was asked, in a SQLite file that several processes may use."""

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
