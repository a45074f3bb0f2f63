"""Asking about a passage: closed-book, or with the passage in the prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from seal_agent.answering.recall import Asked, closed_book
from seal_agent.answering.replies import reply_all
from seal_agent.base_model.model import BaseModel
from seal_agent.config import AnswerConfig
from seal_agent.generation.engine import Engine
from seal_agent.grading.grader import DirectnessGrader, Grader, grade_all
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.progress import Progress
from seal_agent.prompts import question_with_passage
from seal_agent.text.reasoning import without_reasoning
from seal_agent.types import Answer, Context, Message, Question, Sampling, Verdict


@dataclass(frozen=True, slots=True)
class GradedReply:
    """An answer, and whether the sentence that it was read from holds the right one (its own verdict without one)."""

    answer: Answer
    recalled: Verdict

    @property
    def knows(self) -> bool | None:
        """Whether the answer or the sentence behind it is right; None where neither can be graded."""
        verdicts = {self.answer.verdict, self.recalled}
        if Verdict.CORRECT in verdicts:
            return True
        return None if verdicts == {Verdict.UNGRADED} else False


def answer_questions(
    engine: Engine,
    base: BaseModel,
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
        config: How adapters answer; default: in a few words.
    """
    adapters = adapters if adapters is not None else [None] * len(contexts)
    rows = [
        (question, _asked(context, question, adapter, in_context))
        for context, adapter in zip(contexts, adapters, strict=True)
        for question in context.questions
    ]
    answers = (reply.answer for reply in _graded(engine, base, rows, grader, config, progress, recalled=False))
    return [tuple(next(answers) for _ in context.questions) for context in contexts]


def reply_to_questions(
    engine: Engine,
    base: BaseModel,
    contexts: Sequence[Context],
    grader: Grader,
    adapters: Sequence[LoraAdapter | None],
    progress: Progress | None = None,
) -> list[tuple[GradedReply, ...]]:
    """As `answer_questions`; the sentences that answers were read from are graded too."""
    rows = [
        (question, _asked(context, question, adapter, False))
        for context, adapter in zip(contexts, adapters, strict=True)
        for question in context.questions
    ]
    replies = iter(_graded(engine, base, rows, grader, None, progress, recalled=True))
    return [tuple(next(replies) for _ in context.questions) for context in contexts]


def _graded(
    engine: Engine,
    base: BaseModel,
    rows: Sequence[tuple[Question, Asked]],
    grader: Grader,
    config: AnswerConfig | None,
    progress: Progress | None,
    *,
    recalled: bool,
) -> list[GradedReply]:
    replies = reply_all(engine, base, [asked for _, asked in rows], config or AnswerConfig(), progress=progress)
    pairs = [(question, reply) for (question, _), reply in zip(rows, replies, strict=True)]
    graded = [(question.text, question.golds, reply.text) for question, reply in pairs]
    verdicts = grade_all(grader, graded)
    directs = [grader.direct(*item) if isinstance(grader, DirectnessGrader) else None for item in graded]
    again = [
        i
        for i, ((_, reply), verdict) in enumerate(zip(pairs, verdicts, strict=True))
        if recalled and reply.recalled and verdict is not Verdict.CORRECT
    ]
    sentences = [(pairs[i][0].text, pairs[i][0].golds, pairs[i][1].recalled) for i in again]
    behind = dict(zip(again, grade_all(grader, sentences), strict=True)) if again else {}
    return [
        GradedReply(Answer(question, reply.text, verdict, direct), behind.get(i, verdict))
        for i, ((question, reply), verdict, direct) in enumerate(zip(pairs, verdicts, directs, strict=True))
    ]


def ask_closed_book(
    engine: Engine, rows: Sequence[tuple[str, str, LoraAdapter | None]], sampling: Sampling
) -> list[str]:
    """What the model itself answers to rows of (title, question, adapter), in one batch, ungraded."""
    asked = [closed_book(*row) for row in rows]
    completions = engine.generate([one.prompt for one in asked], sampling, [one.adapter for one in asked])
    return [without_reasoning(completion.text).strip() for completion in completions]


def _asked(context: Context, question: Question, adapter: LoraAdapter | None, in_context: bool) -> Asked:
    if not in_context:
        return closed_book(context.title, question.text, adapter)
    prompt = (Message("user", question_with_passage(context.title, context.text, question.text)),)
    return Asked(prompt, question.text, context.title, adapter)
