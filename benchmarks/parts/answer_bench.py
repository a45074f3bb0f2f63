"""The model under test in answers.py: it writes, trains and answers, and times each."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from parts import results_file
from parts.answer_recipes import Recipe
from parts.answer_rows import PLAIN, SHORT, Row
from seal_agent.adaptation.lesson import job_of, write_lessons
from seal_agent.answering.questions import answer_questions
from seal_agent.base_model.loading import load_model
from seal_agent.config import PLAIN_ANSWERS, AnswerConfig
from seal_agent.generation.hf import HFEngine
from seal_agent.grading.lexical import LexicalGrader
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.training.train import train
from seal_agent.types import Context


class Bench:
    """The model under test."""

    def __init__(self, model: str, seed: int) -> None:
        self.base = load_model(model)
        self.engine = HFEngine(self.base)
        self.grader = LexicalGrader()
        self.seed = seed

    def learn(self, recipe: Recipe, context: Context) -> tuple[LoraAdapter, Row]:
        """The adapter that learnt a passage, and a row with the seconds that writing and training took."""
        assert recipe.inner_loop
        started = time.perf_counter()
        (lesson,) = write_lessons(self.engine, self.base, [context], recipe.self_edit, seed=self.seed)
        written = time.perf_counter()
        inner_loop = replace(recipe.inner_loop, seed=self.seed)
        (trained,) = train(self.base, [job_of(self.engine, self.base, lesson, inner_loop)])
        return trained.adapter, _seconds(written - started, time.perf_counter() - written)

    def measure(self, recipe: Recipe, context: Context) -> Row:
        """A row of what a recipe answers about a passage, its questions among them."""
        adapter, row = self.learn(recipe, context) if recipe.inner_loop else (None, _seconds(0.0, 0.0))
        row[PLAIN] = self._ask(context, adapter, PLAIN_ANSWERS, recipe.in_context)
        if recipe.inner_loop:
            row[SHORT] = self._ask(context, adapter, AnswerConfig())
        return row

    def _ask(
        self, context: Context, adapter: LoraAdapter | None, config: AnswerConfig, in_context: bool = False
    ) -> Sequence[Row]:
        (answers,) = answer_questions(
            self.engine, self.base, [context], self.grader, adapters=[adapter], in_context=in_context, config=config
        )
        return [results_file.answer_row(answer, self.grader) for answer in answers]


def _seconds(writing: float, training: float) -> Row:
    return {"seconds_to_write": round(writing, 2), "seconds_to_train": round(training, 2)}
