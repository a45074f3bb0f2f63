"""What Prometheus reads at /metrics."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)


class Metrics:
    """Counters of one server; names of adapters are no labels."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ("endpoint", "status")
        self._requests = Counter("seal_requests", "Requests answered.", labels, registry=self.registry)
        self._seconds = Histogram(
            "seal_request_seconds", "Seconds per request.", ("endpoint",), buckets=_SECONDS, registry=self.registry
        )
        self._first = Histogram(
            "seal_first_token_seconds", "Seconds to the first text.", buckets=_SECONDS, registry=self.registry
        )
        self._tokens = Counter("seal_tokens", "Tokens read and written.", ("kind",), registry=self.registry)
        self._jobs = Counter("seal_jobs", "Ended jobs.", ("kind", "state"), registry=self.registry)

    def answered(self, endpoint: str, status: int, seconds: float) -> None:
        self._requests.labels(endpoint, str(status)).inc()
        self._seconds.labels(endpoint).observe(seconds)

    def first_text(self, seconds: float) -> None:
        self._first.observe(seconds)

    def tokens(self, prompt: int, completion: int) -> None:
        self._tokens.labels("prompt").inc(prompt)
        self._tokens.labels("completion").inc(completion)

    def job_ended(self, kind: str, state: str) -> None:
        self._jobs.labels(kind, state).inc()

    def watch(self, name: str, what: str, value: Callable[[], float]) -> None:
        """A gauge that is read when Prometheus asks."""
        Gauge(name, what, registry=self.registry).set_function(value)

    def text(self) -> bytes:
        return generate_latest(self.registry)
