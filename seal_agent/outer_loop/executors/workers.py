"""A worker made from names: what a process of its own needs to load the base model by itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from seal_agent.base_model.loading import load_model
from seal_agent.generation.hf import HFEngine
from seal_agent.grading.graders import default_grader
from seal_agent.outer_loop.units import Worker


@dataclass(frozen=True, slots=True)
class MakeWorker:
    """Call it for a worker. It travels to other machines; a model without its weights in memory does."""

    model: str
    device: str = "auto"
    dtype: str = "auto"
    trust_remote_code: bool = False
    adapters: Path | None = None

    def __call__(self) -> Worker:
        """Raises ModelError."""
        base = load_model(self.model, device=self.device, dtype=self.dtype, trust_remote_code=self.trust_remote_code)
        return Worker(base, HFEngine(base), default_grader(), self.adapters)
