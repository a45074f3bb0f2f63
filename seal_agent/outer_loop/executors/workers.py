"""A picklable recipe for a worker, with which another process loads its own base model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from seal_agent.base_model.loading import load_model
from seal_agent.config import VLLMConfig
from seal_agent.generation.engines import make_engine
from seal_agent.grading.graders import DEFAULT_GRADER, make_grader
from seal_agent.outer_loop.units import Worker


@dataclass(frozen=True, slots=True)
class MakeWorker:
    """Loads a model and returns a worker when called. It can be sent to another machine, since it holds no weights.

    The grader is one by name, see `make_grader`. A judge's key is read from the environment of the worker's process.
    """

    model: str
    device: str = "auto"
    dtype: str = "auto"
    trust_remote_code: bool = False
    adapters: Path | None = None
    engine: str = "hf"
    vllm: VLLMConfig | None = None
    grader: str = DEFAULT_GRADER
    judge_model: str | None = None
    judge_url: str | None = None
    judge_cache: Path | None = None

    def __call__(self) -> Worker:
        """Load the model. Raises ModelError, InputError."""
        base = load_model(self.model, device=self.device, dtype=self.dtype, trust_remote_code=self.trust_remote_code)
        engine = make_engine(base, self.engine, self.vllm)
        grader = make_grader(
            self.grader,
            engine=engine,
            judge_model=self.judge_model,
            judge_url=self.judge_url,
            cache=self.judge_cache,
        )
        return Worker(base, engine, grader, self.adapters)
