"""vLLM behind an address: a running `vllm serve`, asked over HTTP."""

from __future__ import annotations

import json
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx

from seal_agent.base_model.loading import hub_name, identity_of_source
from seal_agent.base_model.model import BaseModel
from seal_agent.config import VLLMConfig
from seal_agent.errors import AdapterError, BaseModelWarning, EngineError, InputError, ModelError
from seal_agent.generation.vllm.requests import AdaptersLost, Done, Request, ServedAdapter, Written, apart
from seal_agent.generation.vllm.turns import Turns

CONCURRENCY = 64  # requests on their way at once; vLLM batches what it has
_CONNECT = 5.0  # seconds


class ServedVLLM:
    """Implements Backend over vLLM's OpenAI-compatible server, on this machine or with a shared file system.

    The server needs `--enable-lora --max-lora-rank 32` and VLLM_ALLOW_RUNTIME_LORA_UPDATING=True, so that adapters can
    be loaded while it runs. Raises InputError for an address that is not http(s).
    """

    def __init__(self, base: BaseModel, config: VLLMConfig) -> None:
        url = config.server or ""
        if not url.startswith(("http://", "https://")):
            raise InputError(f"server is the address of `vllm serve`, such as http://127.0.0.1:8000, but it is {url!r}")
        self.base, self.url = base, url.rstrip("/").removesuffix("/v1")
        self.max_adapters = max(config.max_cpu_loras, config.max_loras)
        self._limit = config.window
        self._generation, self._lock = 0, threading.Lock()
        self._turns = Turns()  # the server may run on a CPU
        timeout = httpx.Timeout(config.timeout, connect=_CONNECT)
        self._client = httpx.Client(base_url=self.url, timeout=timeout, limits=httpx.Limits())

    @cached_property
    def _model(self) -> tuple[str, int]:
        """The name of the base model at the server, and its window in tokens."""
        models = self._asked("GET", "/v1/models")["data"]
        first = next(model for model in models if not model.get("parent"))
        self._check_served(str(first.get("root") or ""))
        return str(first["id"]), int(first.get("max_model_len") or self.base.window)

    def _check_served(self, root: str) -> None:
        """Raises InputError where the server is known to serve another model; warns where its hub id is another.

        What cannot be compared, such as a folder of another machine, passes.
        """
        own = {self.base.name, hub_name(self.base.name), self.base.source}
        if not root or not self.base.source or root in own:
            return
        if Path(root).is_dir():
            with suppress(ModelError):
                if not self.base.is_same_as(identity_of_source(root)):
                    raise InputError(
                        f"the vLLM server at {self.url} serves {root}, which is not {self.base.name!r}; start it with "
                        f"{self.base.source}, or load its model here"
                    )
        elif _is_hub_id(root) and _is_hub_id(hub_name(self.base.name)):
            warnings.warn(
                f"the vLLM server at {self.url} serves {root!r}, and this model is {hub_name(self.base.name)!r}; "
                "their answers are not those of one model",
                BaseModelWarning,
                stacklevel=2,
            )

    @property
    def window(self) -> int:
        window = self._model[1]
        return min(window, self._limit) if self._limit else window

    def generation(self) -> int:
        return self._generation

    def run(self, requests: Sequence[Request], done: Done) -> list[Written]:
        if not requests:
            return []
        _ = self._model  # one question for it, not one from every thread
        pool = ThreadPoolExecutor(min(CONCURRENCY, len(requests)))
        written: dict[int, Written] = {}
        try:
            for group in apart(requests):
                with self._turns.of(requests[group[0]].adapter is not None):
                    futures = {pool.submit(self._complete, requests[i]): i for i in group}
                    for future in as_completed(futures):
                        written[futures[future]] = future.result()
                        done()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        return [written[i] for i in range(len(requests))]

    def stream(self, request: Request) -> Iterator[Written]:
        so_far = Written()
        body = {**self._body(request), "stream": True}
        with (
            self._errors(request),
            self._turns.of(request.adapter is not None),
            self._client.stream("POST", "/v1/completions", json=body) as response,
        ):
            if response.is_error:
                response.read()
                self._refuse(response, request)
            for line in response.iter_lines():
                if line.startswith("data: ") and line != "data: [DONE]":
                    _extend(so_far, json.loads(line.removeprefix("data: ")))
                    yield so_far
        if so_far.finish is None:
            raise EngineError(f"the vLLM server at {self.url} broke off its answer; start it again, then go on")

    def load(self, adapter: ServedAdapter) -> None:
        body = {"lora_name": adapter.name, "lora_path": str(adapter.folder)}
        with self._errors():
            response = self._client.post("/v1/load_lora_adapter", json=body)
        if response.is_success:
            return
        reason = _message(response)
        if response.status_code in (404, 405) and "not found" in reason.casefold() and adapter.name not in reason:
            raise EngineError(
                f"the vLLM server at {self.url} takes no adapters while it runs; start it with "
                "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True in its environment, and --enable-lora"
            )
        if "rank" in reason and "greater" in reason:
            raise AdapterError(
                f"the vLLM server at {self.url} serves smaller adapters ({reason}); start it with a larger "
                "--max-lora-rank"
            )
        raise AdapterError(f"the vLLM server at {self.url} does not take this adapter ({reason}); use engine='hf'")

    def unload(self, adapter: ServedAdapter) -> None:
        with suppress(httpx.HTTPError):
            self._client.post("/v1/unload_lora_adapter", json={"lora_name": adapter.name}, timeout=_CONNECT)

    @contextmanager
    def resting(self) -> Iterator[None]:
        yield  # another process has its own memory

    def close(self) -> None:
        """Nothing: the server belongs to whoever started it."""

    # ------------------------------------------------------------ HTTP

    def _complete(self, request: Request) -> Written:
        written = Written()
        _extend(written, self._asked("POST", "/v1/completions", request, json=self._body(request)))
        return written

    def _body(self, request: Request) -> dict[str, Any]:
        """The request in the server's words; what the server would fill in from its own defaults is given too."""
        body: dict[str, Any] = {
            "model": request.adapter.name if request.adapter else self._model[0],
            "prompt": list(request.prompt_ids),
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "top_p": request.top_p,
            "top_k": 0,
            "min_p": 0.0,
            "repetition_penalty": 1.0,
            "seed": request.seed,
            "stop": list(request.stop),
            "stop_token_ids": list(request.stop_ids),
            "ignore_eos": True,
            "logprobs": request.top,
            "return_token_ids": True,
            "return_tokens_as_token_ids": True,
        }
        if request.prompt_top is not None:
            body["prompt_logprobs"] = request.prompt_top
        if request.allowed_ids:
            body["allowed_token_ids"] = list(request.allowed_ids)
        if request.grammar:
            kind = "json" if request.grammar.kind == "json_schema" else "regex"
            body["structured_outputs"] = {kind: request.grammar.text}
        return body

    def _asked(self, method: str, path: str, request: Request | None = None, **options: Any) -> Any:
        with self._errors(request):
            response = self._client.request(method, path, **options)
            if response.is_error:
                self._refuse(response, request)
            return response.json()

    def _refuse(self, response: httpx.Response, request: Request | None) -> None:
        """Raise what an error of the server means."""
        reason = _message(response)
        if response.status_code == httpx.codes.NOT_FOUND and request and request.adapter:
            with self._lock:
                self._generation += 1
            raise AdaptersLost(reason)
        if "logprobs" in reason and "greater" in reason:
            raise EngineError(
                f"the vLLM server at {self.url} reports too few likely tokens ({reason}); start it with --max-logprobs"
            )
        raise EngineError(f"the vLLM server at {self.url} refused a request ({response.status_code}: {reason})")

    @contextmanager
    def _errors(self, request: Request | None = None) -> Iterator[None]:
        try:
            yield
        except httpx.TimeoutException as err:
            raise EngineError(
                f"the vLLM server at {self.url} did not answer in time; if it hangs, start it again, then go on"
            ) from err
        except httpx.HTTPError as err:
            raise EngineError(
                f"the vLLM server at {self.url} cannot be reached ({type(err).__name__}); start it, then go on"
            ) from err
        except (ValueError, KeyError, StopIteration) as err:
            if isinstance(err, InputError):
                raise
            raise EngineError(
                f"what answers at {self.url} is no vLLM server; give the address of `vllm serve`"
            ) from err


def _is_hub_id(name: str) -> bool:
    """Whether a name is one of the hub's, "owner/model", and no folder."""
    return name.count("/") == 1 and not name.startswith((".", "/", "~")) and not Path(name).exists()


def _extend(written: Written, body: Mapping[str, Any]) -> None:
    """Add what one reply says: all of it, or the next piece of a stream."""
    for choice in body["choices"]:
        written.ids += choice.get("token_ids") or []
        logprobs = choice.get("logprobs") or {}
        chosen = zip(logprobs.get("tokens") or (), logprobs.get("token_logprobs") or (), strict=True)
        for (token, logprob), top in zip(chosen, logprobs.get("top_logprobs") or (), strict=False):
            likely = {_token(name): value for name, value in (top or {}).items()}
            written.logprobs.append({**likely, _token(token): logprob})
        for position in (choice.get("prompt_logprobs") or ())[1:]:
            written.prompt_logprobs.append({int(token): entry["logprob"] for token, entry in position.items()})
        written.finish = choice.get("finish_reason") or written.finish


def _token(name: str) -> int:
    return int(name.removeprefix("token_id:"))


def _message(response: httpx.Response) -> str:
    try:
        body = response.json()
        return str(body.get("error", {}).get("message") or body.get("message") or body.get("detail") or body)[:300]
    except (ValueError, AttributeError):
        return response.text[:300] or response.reason_phrase
