"""What the gate measures on candidates: every kind of question is one call of the engine for all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from seal_agent.adaptation.gate.questions import EarlierQuestion, earlier_questions, guard_draw
from seal_agent.adaptation.gate.reference import GUARD_TOKENS, Reference, ReferenceText, reference_of
from seal_agent.answering.questions import GradedReply, reply_to_questions
from seal_agent.answering.recall import Asked, Recalled, closed_book, recall
from seal_agent.answering.replies import answers_of_adapters
from seal_agent.base_model.model import BaseModel
from seal_agent.config import AnswerConfig, GateConfig
from seal_agent.generation.engine import Engine
from seal_agent.grading.grader import Grader, grade_all
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.progress import StageClock
from seal_agent.types import Answer, Context, Question, Revision, Sampling, SoftLabel, Verdict

TOP = 64  # likeliest tokens of a distribution that the divergence is summed over


@dataclass(frozen=True, slots=True)
class Candidate:
    """A trained adapter that waits to be judged, and what it goes on from.

    `asked` is its context with the questions that show whether it learned; `before` and `after` are the replies to
    them. `lineage` are the parent and its ancestors, newest first.
    """

    asked: Context
    adapter: LoraAdapter
    start: LoraAdapter | None
    lineage: tuple[Revision, ...]
    before: tuple[GradedReply, ...]
    after: tuple[GradedReply, ...]


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured on one candidate.

    `earlier` has each earlier question with its new answer, `guard` the general ones, None where none was asked for;
    `own` are those of them that the text is about; `reference_graded` says how many of the base model's answers to
    general questions could be graded, and of how many. Perplexities are of the reference texts; None where there are
    none. `drift` is in nats per token.
    """

    earlier: tuple[tuple[EarlierQuestion, GradedReply], ...] = ()
    guard: tuple[Answer, ...] | None = None
    own: tuple[Question, ...] = ()
    known_to_parent: frozenset[str] = frozenset()
    reference_graded: tuple[int, int] = (0, 0)
    perplexity: float | None = None
    base_perplexity: float | None = None
    drift: float | None = None


@dataclass(frozen=True, slots=True)
class Meter:
    """Measures candidates with one base model, engine and grader."""

    base: BaseModel
    engine: Engine
    grader: Grader
    config: GateConfig

    def measure(self, candidates: Sequence[Candidate], clock: StageClock) -> list[Measured]:
        """All that the checks need, in the order of the candidates."""
        config = self.config
        reference = Reference((), ())
        if config.guard_questions or config.reference_texts:
            with clock.stage("gate: reference") as report:
                reference = reference_of(self.engine, self.base, self.grader, config.reference_texts, report)
        measured = [Measured()] * len(candidates)
        if config.earlier_questions and any(candidate.lineage for candidate in candidates):
            with clock.stage("gate: earlier lessons"):
                measured = self._ask_earlier(candidates, measured)
        if config.guard_questions:
            with clock.stage("gate: guard questions"):
                measured = self._ask_guard(candidates, measured, reference)
        if reference.texts:
            with clock.stage("gate: drift"):
                measured = self._drift(candidates, self._perplexity(candidates, measured, reference), reference)
        return measured

    def ask_own(self, candidates: Sequence[Candidate], clock: StageClock) -> list[Candidate]:
        """The candidates with new replies to their own questions, after their adapters were changed."""
        with clock.stage("gate: ask again"):
            replies = reply_to_questions(
                self.engine, self.base, [c.asked for c in candidates], self.grader, [c.adapter for c in candidates]
            )
        return [replace(c, after=after) for c, after in zip(candidates, replies, strict=True)]

    # ------------------------------------------------------------ one kind each

    def _ask_earlier(self, candidates: Sequence[Candidate], measured: Sequence[Measured]) -> list[Measured]:
        drawn = [earlier_questions(c.lineage, c.asked, self.config.earlier_questions) for c in candidates]
        contexts = [[Context("", q.title, (q.question,)) for q in questions] for questions in drawn]
        flat = [context for of_candidate in contexts for context in of_candidate]
        adapters = [c.adapter for c, of_candidate in zip(candidates, contexts, strict=True) for _ in of_candidate]
        replies = iter(reply_to_questions(self.engine, self.base, flat, self.grader, adapters) if flat else [])
        return [
            replace(m, earlier=tuple((question, next(replies)[0]) for question in questions))
            for m, questions in zip(measured, drawn, strict=True)
        ]

    def _ask_guard(
        self, candidates: Sequence[Candidate], measured: Sequence[Measured], reference: Reference
    ) -> list[Measured]:
        drawn = [guard_draw(reference.guard, c.asked, self.config.guard_questions) for c in candidates]
        rows = [(q, c.adapter) for c, (questions, _) in zip(candidates, drawn, strict=True) for q in questions]
        answers = iter(self._guard_answers(rows, reference))
        graded = sum(answer.verdict is not Verdict.UNGRADED for answer in reference.guard)
        return [
            replace(
                m,
                guard=tuple(next(answers) for _ in questions),
                own=tuple(own),
                known_to_parent=_known_to_parent(c.lineage, questions),
                reference_graded=(graded, len(reference.guard)),
            )
            for m, c, (questions, own) in zip(measured, candidates, drawn, strict=True)
        ]

    def _guard_answers(self, rows: Sequence[tuple[Question, LoraAdapter]], reference: Reference) -> list[Answer]:
        """What the adapters themselves say; where that is wrong, what a user is told, by the reader or the base."""
        asked = [closed_book("", question.text, adapter) for question, adapter in rows]
        recalled = recall(self.engine, asked, Sampling(GUARD_TOKENS)) if asked else []
        answers = self._graded([question for question, _ in rows], [texts[0].text for texts in recalled])
        wrong = [i for i, answer in enumerate(answers) if answer.verdict is not Verdict.CORRECT]
        told = self._told([asked[i] for i in wrong], [recalled[i] for i in wrong])
        by_base = {answer.question: answer for answer in reference.guard}
        graded = self._graded([rows[i][0] for i in wrong], told)
        for i, text, answer in zip(wrong, told, graded, strict=True):
            answers[i] = answer if text else by_base[answer.question]
        return answers

    def _told(self, asked: Sequence[Asked], recalled: Sequence[tuple[Recalled, ...]]) -> list[str]:
        """What the reader makes of what adapters recalled; "" where that is so unsure that the base model answers."""
        if not asked:
            return []
        return [reply.text for reply in answers_of_adapters(self.engine, self.base, asked, recalled, AnswerConfig())]

    def _graded(self, questions: Sequence[Question], texts: Sequence[str]) -> list[Answer]:
        pairs = list(zip(questions, texts, strict=True))
        verdicts = grade_all(self.grader, [(q.text, q.golds, text) for q, text in pairs])
        return [Answer(question, text, verdict) for (question, text), verdict in zip(pairs, verdicts, strict=True)]

    def _perplexity(
        self, candidates: Sequence[Candidate], measured: Sequence[Measured], reference: Reference
    ) -> list[Measured]:
        known: dict[tuple[ReferenceText, ...], float] = self.base.memo.setdefault("gate perplexity", {})
        missing = [] if reference.texts in known else [None]
        adapters = [*missing, *(c.adapter for c in candidates)]
        texts = reference.texts
        scores = self.engine.score(
            [text.as_prompt for text in texts] * len(adapters),
            [text.text for text in texts] * len(adapters),
            [adapter for adapter in adapters for _ in texts],
        )
        values = [_perplexity(scores[i * len(texts) : (i + 1) * len(texts)]) for i in range(len(adapters))]
        if missing:
            known[reference.texts] = values.pop(0)
        base = known[reference.texts]
        return [replace(m, perplexity=v, base_perplexity=base) for m, v in zip(measured, values, strict=True)]

    def _drift(
        self, candidates: Sequence[Candidate], measured: Sequence[Measured], reference: Reference
    ) -> list[Measured]:
        anchors = [text for text in reference.texts if text.in_chat] or list(reference.texts)
        starts = list({id(c.start): c.start for c in candidates}.values())
        labels = self._labels(anchors, [*starts, *(c.adapter for c in candidates)])
        parents = {id(start): of_start for start, of_start in zip(starts, labels, strict=False)}
        return [
            replace(m, drift=mean_divergence(parents[id(c.start)], own))
            for m, c, own in zip(measured, candidates, labels[len(starts) :], strict=True)
        ]

    def _labels(
        self, anchors: Sequence[ReferenceText], adapters: Sequence[LoraAdapter | None]
    ) -> list[list[SoftLabel]]:
        """The distributions of each adapter at every token of the anchors, in a row."""
        ids = [self.base.content_ids(text.text) for text in anchors]
        prompts = [text.as_prompt for text in anchors]
        labels = self.engine.soft_labels(
            prompts * len(adapters), ids * len(adapters), TOP, [a for a in adapters for _ in anchors]
        )
        per = len(anchors)
        return [[label for text in labels[i * per : (i + 1) * per] for label in text] for i in range(len(adapters))]


def mean_divergence(parent: Sequence[SoftLabel], child: Sequence[SoftLabel]) -> float:
    """Mean Kullback-Leibler divergence of a child's distributions from its parent's, in nats per token.

    Over the parent's likeliest tokens; one that the child has not among its own counts as its least likely, so this is
    a lower bound.
    """
    return sum(map(_divergence, parent, child)) / len(parent) if parent else 0.0


def _divergence(parent: SoftLabel, child: SoftLabel) -> float:
    likely, least = dict(zip(child.tokens, child.probabilities, strict=True)), min(child.probabilities)
    return sum(
        p * math.log(p / max(likely.get(token, least), 1e-12))
        for token, p in zip(parent.tokens, parent.probabilities, strict=True)
        if p > 0
    )


def _perplexity(scores: Sequence[tuple[float, ...]]) -> float:
    flat = [score for of_text in scores for score in of_text]
    mean = -sum(flat) / max(1, len(flat))
    return math.exp(min(mean, 50.0)) if math.isfinite(mean) else math.inf


def _known_to_parent(lineage: Sequence[Revision], questions: Sequence[Question]) -> frozenset[str]:
    """Guard questions that the parent answers: all that the base answers, but for those on record as lost."""
    lost: set[str] = set()
    for revision in reversed(lineage):
        for answer in revision.guard:
            if answer.verdict is not Verdict.UNGRADED:
                (lost.discard if answer.verdict is Verdict.CORRECT else lost.add)(answer.question.text)
    return frozenset(question.text for question in questions) - lost
