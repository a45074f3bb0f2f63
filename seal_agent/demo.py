"""The demonstration: a passage of invented facts, six questions, before and after."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from seal_agent.config import InnerLoopConfig, SelfEditConfig
from seal_agent.knowledge import data
from seal_agent.knowledge.answering import answer_questions
from seal_agent.knowledge.self_test import write_self_tests
from seal_agent.model import Progress, SelfAdaptingModel
from seal_agent.models import BaseModel
from seal_agent.types import Answer, Revision, accuracy

# A 135M model has to learn in more of its layers than the 7B model of the paper, and from more than the text: trained
# on that alone it recites; with questions about single sentences beside it, it answers. Chosen on this passage, among
# recipes that end within a minute and a half on two cores.
SELF_EDIT = SelfEditConfig(formats=("sentences", "sentence-qa"))
INNER_LOOP = InnerLoopConfig(targets=("all",), epochs=8, batch_size=2)
SELF_TEST = 4  # questions


@dataclass(frozen=True, slots=True)
class DemoResult:
    """One adaptation, the answers with the passage in the prompt, the model's own test, and the seconds in all."""

    revision: Revision
    in_context: tuple[Answer, ...]
    self_test_before: tuple[Answer, ...]
    self_test_after: tuple[Answer, ...]
    seconds: float

    @property
    def accuracy_before(self) -> float:
        return accuracy(self.revision.before)

    @property
    def accuracy_after(self) -> float:
        return accuracy(self.revision.after)

    @property
    def accuracy_in_context(self) -> float:
        return accuracy(self.in_context)


def run_demo(base: BaseModel, seed: int = 0, progress: Progress | None = None) -> DemoResult:
    """Adapt to the invented passage in a store that is thrown away afterwards."""
    started, context = time.perf_counter(), data.demo()

    def telling(stage: str) -> Callable[[int, int], None]:
        def tell(done: int, total: int) -> None:
            if progress:
                progress(stage, done, total)

        tell(0, 1)
        return tell

    with tempfile.TemporaryDirectory(prefix="seal-demo-") as home:
        model = SelfAdaptingModel(base, home=home, seed=seed)
        ask = partial(answer_questions, model.engine, grader=model.grader)
        (in_context,) = ask([context], in_context=True, progress=telling("ask in context"))
        revision = model.adapt(context, adapter="demo", self_edit=SELF_EDIT, inner_loop=INNER_LOOP, progress=progress)
        sources = [(context.title, [context.text])]
        (test,) = write_self_tests(model.engine, sources, SELF_TEST, seed=seed, progress=telling("write self-test"))
        tested = replace(context, questions=test)
        before, after = ask([tested] * 2, adapters=[None, model.adapter("demo")], progress=telling("ask self-test"))
    return DemoResult(revision, in_context, before, after, time.perf_counter() - started)
