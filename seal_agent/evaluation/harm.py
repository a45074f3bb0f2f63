"""What else changes when a passage is learnt.

Per passage: the perplexity of texts about other things, against the base model's; general knowledge right before and
after; how many answers to unrelated questions changed; and whether the fact can be used in another question.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import resources
from itertools import chain
from statistics import fmean

from seal_agent.data import bundled
from seal_agent.evaluation.contestant import BeginStage, Contestant, Learnt
from seal_agent.generation.engine import Engine
from seal_agent.grading.grader import Grader, grade_all
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.types import Context, Question, Verdict, share_of

NEUTRAL_TEXTS = 8  # whose perplexity is measured; not tuned
UNRELATED = 12  # questions about other passages, asked with each adapter
PORTABILITY_FILE = "portability.jsonl"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What must not change, and what the base model makes of it."""

    neutral: tuple[str, ...]
    perplexity: float
    guard: Context
    guard_answers: tuple[str, ...]
    unrelated: tuple[Context, ...]
    unrelated_answers: tuple[str, ...]


def portability_questions(title: str) -> tuple[Question, ...]:
    """Questions that use a fact of the bundled passage under this title; none for other passages."""
    rows = [json.loads(line) for line in _read(PORTABILITY_FILE)]
    return tuple(Question(row["question"], tuple(row["answer"])) for row in rows if row["title"] == title)


def _read(name: str) -> list[str]:
    text = (resources.files(__package__) / name).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line]


def survey(contestant: Contestant, others: Sequence[Context], begin: BeginStage) -> Surroundings:
    """Ask the base model first. `others` are passages that nothing learns."""
    neutral = tuple(context.text for context in others[:NEUTRAL_TEXTS])
    unrelated = tuple(replace(context, questions=context.questions[:1]) for context in others[:UNRELATED])
    guard = Context("", "", bundled.guard_questions())
    guard_answers, *unrelated_answers = _answers(contestant, [guard, *unrelated], None, begin)
    before = perplexity(contestant.engine, neutral, None)
    return Surroundings(neutral, before, guard, guard_answers, unrelated, tuple(chain(*unrelated_answers)))


def harm_of(
    contestant: Contestant, context: Context, learnt: Learnt, around: Surroundings, grader: Grader, begin: BeginStage
) -> dict[str, float]:
    """The figures of one adapter. Shares are 0..1; `perplexity_ratio` is 1 where nothing changed."""
    other = replace(context, questions=portability_questions(context.title))
    asked = [context, other, around.guard, *around.unrelated]
    own, ported, guard, *unrelated = _answers(contestant, asked, learnt.adapter, begin)
    before, after = (*around.guard_answers, *around.unrelated_answers), (*guard, *chain(*unrelated))
    scores = {
        "perplexity_ratio": perplexity(contestant.engine, around.neutral, learnt.adapter) / around.perplexity,
        "changed_answers": fmean(_plain(old) != _plain(new) for old, new in zip(before, after, strict=True)),
        "guard_before": _right(around.guard, around.guard_answers, grader),
        "guard_after": _right(around.guard, guard, grader),
        "contains": _right(context, own, grader),
    }
    return scores | ({"portability": _right(other, ported, grader)} if other.questions else {})


def _plain(answer: str) -> str:
    """An answer without case, punctuation and spacing."""
    return " ".join(re.findall(r"\w+", answer.casefold()))


def _answers(
    contestant: Contestant, contexts: Sequence[Context], adapter: LoraAdapter | None, begin: BeginStage
) -> list[tuple[str, ...]]:
    records = contestant.ask(contexts, [Learnt(adapter)] * len(contexts), begin)
    return [tuple(answer.answer for answer in record.answers) for record in records]


def _right(context: Context, answers: Sequence[str], grader: Grader) -> float:
    """Share of right answers among those that could be graded."""
    pairs = zip(context.questions, answers, strict=True)
    verdicts = grade_all(grader, [(question.text, question.golds, answer) for question, answer in pairs])
    return share_of(Verdict.CORRECT, verdicts) or 0.0


def perplexity(engine: Engine, texts: Sequence[str], adapter: LoraAdapter | None) -> float:
    """Perplexity of all tokens after the first word of each text, scored as plain text."""
    heads, tails = zip(*(_split_first_word(text) for text in texts), strict=True)
    scores = engine.score(heads, tails, [adapter] * len(texts))
    logs = [value for of_text in scores for value in of_text]
    return math.exp(-sum(logs) / len(logs))


def _split_first_word(text: str) -> tuple[str, str]:
    head, blank, tail = text.partition(" ")
    return head, blank + tail
