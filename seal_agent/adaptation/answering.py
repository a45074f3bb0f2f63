"""Asking about a passage: closed-book, or with the passage in the prompt."""

from __future__ import annotations

from collections.abc import Sequence

from seal_agent.config import AnswerConfig
from seal_agent.generation.engine import Engine
from seal_agent.grading.grader import Grader, grade_all
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.progress import Progress
from seal_agent.prompts import question_prompt, question_with_passage
from seal_agent.text.reasoning import without_reasoning
from seal_agent.types import Answer, Context, Message, Question, Sampling


def answer_questions(
    engine: Engine,
    contexts: Sequence[Context],
    grader: Grader,
    *,
    adapters: Sequence[LoraAdapter | None] | None = None,
    in_context: bool = False,
    config: AnswerConfig | None = None,
    progress: Progress | None = None,
) -> list[tuple[Answer, ...]]:
    """Ask every context's questions in one batch and grade the answers.

    Args:
        adapters: One for each context, None for the base model; all None where not given.
        in_context: Put the passage into the prompt.
    """
    adapters = adapters if adapters is not None else [None] * len(contexts)
    rows = [
        (context, question, adapter)
        for context, adapter in zip(contexts, adapters, strict=True)
        for question in context.questions
    ]
    prompts = [(Message("user", _prompt(context, question, in_context)),) for context, question, _ in rows]
    sampling = (config or AnswerConfig()).sampling()
    completions = engine.generate(prompts, sampling, [adapter for _, _, adapter in rows], progress)
    texts = [without_reasoning(completion.text) for completion in completions]
    items = [(question.text, question.golds, text) for (_, question, _), text in zip(rows, texts, strict=True)]
    answers = iter(
        Answer(question, text.strip(), verdict)
        for (_, question, _), text, verdict in zip(rows, texts, grade_all(grader, items), strict=True)
    )
    return [tuple(next(answers) for _ in context.questions) for context in contexts]


def ask_closed_book(
    engine: Engine, rows: Sequence[tuple[str, str, LoraAdapter | None]], sampling: Sampling
) -> list[str]:
    """Answers to rows of (title, question, adapter), in one batch, ungraded."""
    prompts = [(Message("user", question_prompt(title, question)),) for title, question, _ in rows]
    completions = engine.generate(prompts, sampling, [adapter for *_, adapter in rows])
    return [without_reasoning(completion.text).strip() for completion in completions]


def _prompt(context: Context, question: Question, in_context: bool) -> str:
    if in_context:
        return question_with_passage(context.title, context.text, question.text)
    return question_prompt(context.title, question.text)
