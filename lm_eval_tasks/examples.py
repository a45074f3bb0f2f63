"""Few-shot examples: our tasks have none."""

from __future__ import annotations

from typing import Any, NoReturn

from lm_eval.api.samplers import ContextSampler

from seal_agent.errors import InputError


class NoExamples(ContextSampler):  # type: ignore[misc]
    """Refuses `--num_fewshot`: an example would be another question about a text that is asked about, or its answer."""

    def sample(self, *_: Any, **__: Any) -> NoReturn:
        raise InputError("--num_fewshot does not apply to the seal_* tasks, which have no examples; leave it out")
