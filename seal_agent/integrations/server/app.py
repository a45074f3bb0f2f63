"""The application: every route, behind its limits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from seal_agent.config import InnerLoopConfig, SelfEditConfig, ServerConfig
from seal_agent.errors import SealError
from seal_agent.generation.continuous import ContinuousEngine
from seal_agent.generation.hf import HFEngine
from seal_agent.integrations.keys import Keys
from seal_agent.integrations.server import adapters, completions, pages
from seal_agent.integrations.server.calls import Decoder
from seal_agent.integrations.server.decoder import ContinuousDecoder
from seal_agent.integrations.server.errors import ApiError, json_response
from seal_agent.integrations.server.jobs import Jobs
from seal_agent.integrations.server.limits import Limits, failed
from seal_agent.integrations.server.metrics import Metrics
from seal_agent.integrations.server.models import Models, public_name
from seal_agent.integrations.server.workers import RecallDecoder, StreamingDecoder
from seal_agent.integrations.server.writing import Writer
from seal_agent.model import SelfAdaptingModel


@dataclass(frozen=True, slots=True)
class Settings:
    """How a server is set up.

    Attributes:
        name: What the base model is called; default: `public_name`.
        listens_on: The address that is bound, which clients without a key may name as host.
        self_edit, inner_loop: How texts are learnt; default: the default recipe's.
    """

    keys: Keys = field(default_factory=Keys)
    limits: ServerConfig = field(default_factory=ServerConfig)
    name: str | None = None
    listens_on: str = "127.0.0.1"
    self_edit: SelfEditConfig | None = None
    inner_loop: InnerLoopConfig | None = None


def create_app(seal: SelfAdaptingModel, settings: Settings | None = None) -> FastAPI:
    """The ASGI application; `app.state.draining` is set when nothing new shall begin. Raises InputError."""
    chosen = settings or Settings()
    metrics, draining = Metrics(), asyncio.Event()
    models = Models(seal, chosen.name or public_name(seal.base), int(time.time()))
    jobs = (
        Jobs(seal, chosen.limits, metrics, models.base_name, chosen.self_edit, chosen.inner_loop)
        if chosen.keys.admin is not None
        else None
    )
    writer = Writer(
        _decoder(seal, chosen.limits),
        RecallDecoder(seal.engine, seal.base, chosen.limits),
        chosen.limits,
        metrics,
    )
    metrics.watch("seal_rows_waiting", "Answers that wait.", lambda: writer.load()[0])
    metrics.watch("seal_rows_running", "Answers that are being written.", lambda: writer.load()[1])
    metrics.watch("seal_jobs_waiting", "Jobs that wait.", lambda: jobs.waiting() if jobs else 0)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        draining.set()
        await asyncio.to_thread(_close, writer, jobs)

    app = FastAPI(title="seal-agent", docs_url=None, redoc_url=None, lifespan=lifespan)
    app.state.draining = draining
    _add_errors(app)
    _add_models(app, models)
    _add_health(app, metrics, draining)
    app.include_router(pages.routes())
    app.include_router(completions.routes(seal, models, writer, chosen.limits))
    if jobs:
        app.include_router(adapters.routes(seal, jobs, draining))
    most = chosen.limits.max_picture_bytes if seal.base.sees else chosen.limits.max_body_bytes
    app.add_middleware(
        Limits,
        keys=chosen.keys,
        config=replace(chosen.limits, max_body_bytes=most),
        metrics=metrics,
        draining=draining,
        listens_on=chosen.listens_on,
    )
    return app


def _decoder(seal: SelfAdaptingModel, limits: ServerConfig) -> Decoder:
    """Continuous batching on transformers; other engines batch the calls of their threads themselves."""
    if isinstance(seal.engine, HFEngine):
        return ContinuousDecoder(ContinuousEngine(seal.base, limits.max_rows), limits)
    return StreamingDecoder(seal.engine, seal.base, limits)


def _close(writer: Writer, jobs: Jobs | None) -> None:
    if jobs:
        jobs.close()
    writer.close()


def _add_errors(app: FastAPI) -> None:
    for kind in (ApiError, SealError, Exception):
        app.add_exception_handler(kind, failed)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        if first["type"] == "json_invalid":
            return ApiError(400, f"the body is no JSON (character {first['loc'][-1]})", code="json_invalid").response()
        place = ".".join(map(str, first["loc"][1:])) or "body"
        what = str(first["msg"]).removeprefix("Value error, ")
        return ApiError(400, f"{place}: {what}", code=str(first["type"]), param=place).response()

    @app.exception_handler(HTTPException)
    async def refused(_: Request, error: HTTPException) -> Response:
        return ApiError(error.status_code, str(error.detail)).response()


def _add_models(app: FastAPI, models: Models) -> None:
    @app.get("/v1/models", response_model=None)
    def listed() -> Response:
        """The base model and the adapters."""
        return json_response({"object": "list", "data": models.all()})

    @app.get("/v1/models/{model:path}", response_model=None)
    def described(model: str) -> Response:
        """One of them."""
        return json_response(models.one(model))


def _add_health(app: FastAPI, metrics: Metrics, draining: asyncio.Event) -> None:
    @app.get("/health", response_model=None)
    def health() -> Response:
        """Whether new requests are taken."""
        if draining.is_set():
            raise ApiError(503, "the server is about to end", retry_after=5)
        return json_response({"status": "ok"})

    @app.get("/metrics", response_model=None)
    def figures() -> Response:
        """For Prometheus."""
        return Response(metrics.text(), media_type=CONTENT_TYPE_LATEST)
