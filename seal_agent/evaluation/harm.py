"""What else changes when a passage is learnt.

Per passage: the perplexity of texts about other things, against the base model's; general knowledge right before and
after; how many answers to unrelated questions changed; and whether the fact can be used in another question.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from statistics import fmean

from seal_agent.data import bundled
from seal_agent.evaluation.contestant import BeginStage, Contestant, Learnt, PassageRecord
from seal_agent.evaluation.passages import unit_id
from seal_agent.evaluation.samples import BASE, Sample
from seal_agent.evaluation.scoring import CONTAINS, answer_samples
from seal_agent.generation.engine import Engine
from seal_agent.grading.grader import Grader
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.types import Context, Question, Verdict, share_of

NEUTRAL_TEXTS = 8  # whose perplexity is measured; not tuned
PORTABILITY_FILE = "portability.jsonl"
BASE_UNIT = "base"
"""The unit of the base model's own answers."""
OWN, GUARD, PORTABILITY = "", "guard", "portability"
"""What a sample's `passage` says of its question; of one about an unrelated passage, that passage's id."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What must not change, and what the base model makes of it."""

    neutral: tuple[str, ...]
    perplexity: float
    samples: tuple[Sample, ...]

    @classmethod
    def of(cls, reference: Sequence[Context], perplexity: float, samples: Sequence[Sample]) -> Surroundings:
        """`reference` are passages that nothing learns."""
        return cls(neutral_texts(reference), perplexity, tuple(samples))


def neutral_texts(reference: Sequence[Context]) -> tuple[str, ...]:
    """The texts whose perplexity is measured."""
    return tuple(context.text for context in reference[:NEUTRAL_TEXTS])


def portability_questions(title: str) -> tuple[Question, ...]:
    """Questions that use a fact of the bundled passage under this title; none for other passages."""
    rows = [json.loads(line) for line in _read(PORTABILITY_FILE)]
    return tuple(Question(row["question"], tuple(row["answer"])) for row in rows if row["title"] == title)


def _read(name: str) -> list[str]:
    text = (resources.files(__package__) / name).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line]


def surrounding_questions(reference: Sequence[Context]) -> list[tuple[str, Context]]:
    """What must not change, with the `passage` of its samples: general questions, and one about each passage."""
    unrelated = [(unit_id(context), replace(context, questions=context.questions[:1])) for context in reference]
    return [(GUARD, Context("", "", bundled.guard_questions())), *unrelated]


def questions_after(context: Context, reference: Sequence[Context]) -> list[tuple[str, Context]]:
    """Everything that is asked once a passage is learnt."""
    ported = replace(context, questions=portability_questions(context.title))
    return [(OWN, context), (PORTABILITY, ported), *surrounding_questions(reference)]


def survey(contestant: Contestant, reference: Sequence[Context], grader: Grader, begin: BeginStage) -> Surroundings:
    """Ask the base model first. `reference` are passages that nothing learns."""
    asked = surrounding_questions(reference)
    samples = answer_samples(BASE_UNIT, 0, BASE, asked, _answers(contestant, asked, None, begin), grader)
    before = perplexity(contestant.engine, neutral_texts(reference), None)
    return Surroundings.of(reference, before, samples)


def harm_of(
    contestant: Contestant,
    context: Context,
    learnt: Learnt,
    seed: int,
    around: Surroundings,
    reference: Sequence[Context],
    grader: Grader,
    begin: BeginStage,
) -> tuple[float, tuple[Sample, ...]]:
    """The perplexity with the adapter over that without, and the adapter's answers."""
    asked = questions_after(context, reference)
    records = _answers(contestant, asked, learnt.adapter, begin)
    samples = answer_samples(unit_id(context), seed, 0, asked, records, grader)
    return perplexity(contestant.engine, around.neutral, learnt.adapter) / around.perplexity, samples


def _answers(
    contestant: Contestant, asked: Sequence[tuple[str, Context]], adapter: LoraAdapter | None, begin: BeginStage
) -> list[PassageRecord]:
    return contestant.ask([context for _, context in asked], [Learnt(adapter)] * len(asked), begin)


# ---------------------------------------------------------------- figures


def harm_scores(samples: Sequence[Sample]) -> dict[str, dict[int, dict[str, float]]]:
    """By passage and seed, the shares that follow from the answers, 0..1; without those that nobody could grade."""
    before = {(s.passage, s.question): s for s in samples if s.unit == BASE_UNIT}
    after: dict[str, dict[int, list[Sample]]] = {}
    for sample in samples:
        if sample.unit != BASE_UNIT:
            after.setdefault(sample.unit, {}).setdefault(sample.seed, []).append(sample)
    return {unit: {seed: _shares(before, of_seed) for seed, of_seed in seeds.items()} for unit, seeds in after.items()}


def _shares(before: Mapping[tuple[str, str], Sample], after: Sequence[Sample]) -> dict[str, float]:
    """Of one passage and seed; a question without a grade on one side of a comparison is left out of both."""
    both = [(before[key], new) for new in after if (key := (new.passage, new.question)) in before]
    ungraded = Verdict.UNGRADED
    guard = [(o, n) for o, n in both if n.passage == GUARD and ungraded not in (o.verdict, n.verdict)]
    shares = {
        "changed_answers": fmean(_plain(old.answer) != _plain(new.answer) for old, new in both) if both else None,
        "guard_before": share_of(Verdict.CORRECT, [old.verdict for old, _ in guard]),
        "guard_after": share_of(Verdict.CORRECT, [new.verdict for _, new in guard]),
        CONTAINS: share_of(Verdict.CORRECT, [new.verdict for new in after if new.passage == OWN]),
        PORTABILITY: share_of(Verdict.CORRECT, [new.verdict for new in after if new.passage == PORTABILITY]),
    }
    return {name: share for name, share in shares.items() if share is not None}


def _plain(answer: str) -> str:
    """An answer without case, punctuation and spacing."""
    return " ".join(re.findall(r"\w+", answer.casefold()))


def perplexity(engine: Engine, texts: Sequence[str], adapter: LoraAdapter | None) -> float:
    """Perplexity of all tokens after the first word of each text, scored as plain text."""
    heads, tails = zip(*(_split_first_word(text) for text in texts), strict=True)
    scores = engine.score(heads, tails, [adapter] * len(texts))
    logs = [value for of_text in scores for value in of_text]
    return math.exp(-sum(logs) / len(logs))


def _split_first_word(text: str) -> tuple[str, str]:
    head, blank, tail = text.partition(" ")
    return head, blank + tail
