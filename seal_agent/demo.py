"""The demonstration: a passage of invented facts and six questions, answered before and after learning it."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, replace
from functools import partial

from seal_agent.answering.questions import answer_questions
from seal_agent.base_model.model import BaseModel
from seal_agent.config import RECIPES
from seal_agent.data import bundled
from seal_agent.grading.grader import Grader
from seal_agent.model import SelfAdaptingModel
from seal_agent.progress import StageProgress, begin_stage
from seal_agent.types import Answer, Revision, Verdict, share_of

RECIPE = RECIPES["default"]


@dataclass(frozen=True, slots=True)
class DemoResult:
    """One revision with its self-test, and the answers to the six questions: before, after and in context.

    The model never trains on the six questions. `seconds` excludes loading the model.
    """

    revision: Revision
    before: tuple[Answer, ...]
    after: tuple[Answer, ...]
    in_context: tuple[Answer, ...]
    seconds: float

    @property
    def accuracy_before(self) -> float | None:
        """Share of the graded answers that are right; None where none could be graded."""
        return share_of(Verdict.CORRECT, (answer.verdict for answer in self.before))

    @property
    def accuracy_after(self) -> float | None:
        """Share of the graded answers that are right; None where none could be graded."""
        return share_of(Verdict.CORRECT, (answer.verdict for answer in self.after))

    @property
    def accuracy_in_context(self) -> float | None:
        """Share of the graded answers that are right; None where none could be graded."""
        return share_of(Verdict.CORRECT, (answer.verdict for answer in self.in_context))


def run_demo(
    base: BaseModel, seed: int = 0, progress: StageProgress | None = None, grader: Grader | None = None
) -> DemoResult:
    """Adapt to the invented passage in a temporary store, and answer its questions before and after."""
    started, context = time.perf_counter(), bundled.demo()
    with tempfile.TemporaryDirectory(prefix="seal-demo-") as home:
        model = SelfAdaptingModel(base, home=home, grader=grader, seed=seed)
        ask = partial(answer_questions, model.engine, model.base, grader=model.grader)
        (in_context,) = ask([context], in_context=True, progress=begin_stage(progress, "ask in context"))
        # Without questions, so that the model writes its own test and trains on none of the six.
        passage = replace(context, questions=())
        # Without the gate: the tables show what it would check, and nothing of the store outlives the demonstration.
        revision = model.adapt(
            passage,
            adapter="demo",
            self_edit=RECIPE.self_edit,
            inner_loop=RECIPE.inner_loop,
            gate=None,
            progress=progress,
        )
        adapters = [None, model.adapter("demo")]
        before, after = ask([context] * 2, adapters=adapters, progress=begin_stage(progress, "ask closed-book"))
    return DemoResult(revision, before, after, in_context, time.perf_counter() - started)
