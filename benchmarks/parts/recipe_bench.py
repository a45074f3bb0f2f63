"""The model under test in recipes.py: it writes, trains and answers, and times each."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from parts import results_file
from parts.recipe_candidates import Recipe
from parts.recipe_rows import PLAIN, SHORT, GraderSettings, Row
from seal_agent.adaptation.lesson import Lesson, job_of, write_lessons
from seal_agent.adaptation.self_test import write_self_tests
from seal_agent.answering.questions import answer_questions
from seal_agent.base_model.loading import load_model
from seal_agent.config import PLAIN_ANSWERS, AnswerConfig, SelfEditConfig
from seal_agent.generation.hf import HFEngine
from seal_agent.grading.graders import make_grader
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.training.train import train
from seal_agent.types import Context


class Bench:
    """The model under test. Recipes with the same `self_edit` share their lessons, which are written once."""

    def __init__(self, model: str, seed: int, grader: GraderSettings) -> None:
        self.base = load_model(model)
        self.engine = HFEngine(self.base)
        self.grader = make_grader(**grader, engine=self.engine)
        self.seed = seed
        self._lessons: dict[tuple[SelfEditConfig, Context], tuple[Lesson, float]] = {}

    def measure(self, recipe: Recipe, contexts: Sequence[Context], self_test: bool) -> list[Row]:
        """One row per passage. Its seconds are its equal share of the time for all passages of the call.

        Args:
            recipe: how to write and train.
            contexts: the passages, with their questions.
            self_test: whether the model also writes a self-test, which it answers before and after training.
        """
        adapters: list[LoraAdapter | None] = [None] * len(contexts)
        lessons: list[Lesson] = []
        writing_seconds, training_seconds = [0.0] * len(contexts), 0.0
        if recipe.inner_loop:
            inner_loop = replace(recipe.inner_loop, seed=self.seed)
            lessons, writing_seconds = self._write(recipe.self_edit, contexts, self_test)
            started = time.perf_counter()
            jobs = [job_of(self.engine, self.base, lesson, inner_loop) for lesson in lessons]
            adapters = [trained.adapter for trained in train(self.base, jobs)]
            training_seconds = (time.perf_counter() - started) / len(contexts)
        rows: list[Row] = [
            {"seconds_to_write": round(seconds, 2), "seconds_to_train": round(training_seconds, 2)}
            for seconds in writing_seconds
        ]
        self._ask(rows, PLAIN, contexts, adapters, PLAIN_ANSWERS, recipe.in_context)
        if recipe.inner_loop:
            self._ask(rows, SHORT, contexts, adapters, AnswerConfig())
        if self_test and lessons:
            tests = [replace(c, questions=lesson.held_out) for c, lesson in zip(contexts, lessons, strict=True)]
            self._ask(rows, "self_before", tests, [None] * len(tests), PLAIN_ANSWERS)
            self._ask(rows, "self_after", tests, adapters, PLAIN_ANSWERS)
        return rows

    def _ask(
        self,
        rows: Sequence[Row],
        name: str,
        contexts: Sequence[Context],
        adapters: Sequence[LoraAdapter | None],
        config: AnswerConfig,
        in_context: bool = False,
    ) -> None:
        """Add the graded answers of each context to its row, under `name`."""
        answered = answer_questions(
            self.engine,
            self.base,
            contexts,
            self.grader,
            adapters=adapters,
            in_context=in_context,
            config=config,
        )
        for row, answers in zip(rows, answered, strict=True):
            row[name] = [results_file.answer_row(answer, self.grader) for answer in answers]

    def _write(
        self, config: SelfEditConfig, contexts: Sequence[Context], self_test: bool
    ) -> tuple[list[Lesson], list[float]]:
        """Each context's lesson, and the seconds that it took to write. Lessons written before are reused."""
        new = [context for context in contexts if (config, context) not in self._lessons]
        if new:
            started = time.perf_counter()
            lessons = write_lessons(self.engine, self.base, new, config, seed=self.seed)
            seconds_each = (time.perf_counter() - started) / len(new)
            if self_test:
                sources = [(lesson.title, lesson.passages) for lesson in lessons]
                tests = write_self_tests(self.engine, sources, config.self_test, seed=self.seed)
                lessons = [replace(lesson, held_out=test) for lesson, test in zip(lessons, tests, strict=True)]
            written = zip(new, lessons, strict=True)
            self._lessons |= {(config, context): (lesson, seconds_each) for context, lesson in written}
        cached = [self._lessons[config, context] for context in contexts]
        return [lesson for lesson, _ in cached], [seconds for _, seconds in cached]
