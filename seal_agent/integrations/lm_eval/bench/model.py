"""The lm-eval model of a benchmark: answers come from a contestant, and a journal keeps them, so that a run resumes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from lm_eval.api.instance import Instance
from tqdm import tqdm

from seal_agent.evaluation.contestant import Contestant, PassageRecord
from seal_agent.evaluation.journal import Journal
from seal_agent.evaluation.passages import question_key, unit_id
from seal_agent.evaluation.records import record_from_json
from seal_agent.grading.grader import GradingItem
from seal_agent.integrations.lm_eval.arc import TASKS_AT_ONCE, answer_tasks
from seal_agent.integrations.lm_eval.model import SealLM, _Request
from seal_agent.integrations.lm_eval.progress_bar import stages_on
from seal_agent.integrations.lm_eval.tasks import GRADER_FIELD, UNANSWERED, grade_ahead
from seal_agent.types import Context

PASSAGES_AT_ONCE = 8  # lessons written together and adapters held together; a kill loses no more


class BenchLM(SealLM):
    """A contestant as an lm-eval model.

    Args:
        contestant: What learns and answers.
        contexts: The suite's passages, with their questions, in order.
        journal: Keeps what has been measured.
        seed: Of everything that is drawn.
        arguments: As for `SealLM`.
    """

    def __init__(
        self,
        contestant: Contestant,
        contexts: Sequence[Context],
        journal: Journal,
        seed: int,
        arguments: Mapping[str, object],
    ) -> None:
        super().__init__(contestant.base, **{**arguments, "seed": seed})
        self.contestant, self.contexts, self.journal, self.seed = contestant, list(contexts), journal, seed
        self.engine = contestant.engine
        self.quiet = False
        self._grader = ""

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """As `SealLM` does; silent if `quiet`."""
        self._grader = str(requests[0].doc.get(GRADER_FIELD, "")) if requests else ""
        return super().generate_until(requests, disable_tqdm or self.quiet)

    @property
    def records(self) -> list[PassageRecord]:
        """What was measured with this seed, in the order of the passages."""
        keys = [self._key(question_key(context)) for context in self.contexts]
        return [record_from_json(self.journal[key]) for key in keys if key in self.journal]

    def _answer(self, requests: Sequence[_Request], quiet: bool) -> list[str]:
        self._measure(quiet)
        by_unit = {record.unit: record for record in self.records}
        answers = []
        for request in requests:
            record = by_unit[unit_id(request.context)]
            texts = {answer.question: answer.answer for answer in record.answers}
            answers.append(f"{UNANSWERED}{record.failure}]" if record.failure else texts[request.question])
        return answers

    def _measure(self, quiet: bool) -> None:
        """Measure the passages that the journal does not have, and write each batch down.

        Batches begin at fixed places of the order, and notes are written about all of a batch: they are then those of
        a run that measures all passages at once.
        """
        missing = {question_key(c): c for c in self.contexts if self._key(question_key(c)) not in self.journal}
        size = PASSAGES_AT_ONCE
        if missing and self.contestant.together:  # one adapter for all: some of them cannot be measured alone
            missing, size = {question_key(context): context for context in self.contexts}, len(self.contexts)
        done = len(self.contexts) - len(missing)
        with tqdm(total=len(self.contexts), initial=done, disable=quiet, unit="passage") as bar:
            for start in range(0, len(self.contexts), size):
                batch = self.contexts[start : start + size]
                left = {key: missing[key] for key in map(question_key, batch) if key in missing}
                if left:
                    begin = stages_on(bar, f"seed {self.seed}")
                    records = self.contestant.measure(list(left.values()), self.seed, begin, batch)
                    self.journal.add_all(dict(zip(map(self._key, left), map(asdict, records), strict=True)))
                    grade_ahead(self._grader, _items(list(left.values()), records))
                    bar.update(len(left))

    def _key(self, what: str) -> str:
        return f"{self.seed}:{what}"

    def _answer_arc(self, docs: Sequence[Mapping[str, Any]], quiet: bool) -> list[str]:
        """Answers to ARC's documents, a few tasks at a time as `_measure` does, each kept under its task and test."""
        of_task: dict[str, list[Mapping[str, Any]]] = {}
        for doc in docs:
            of_task.setdefault(str(doc["task_id"]), []).append(doc)
        tasks = list(of_task)
        for start in range(0, len(tasks), TASKS_AT_ONCE):
            batch = tasks[start : start + TASKS_AT_ONCE]
            left = [task for task in batch if any(self._arc_key(doc) not in self.journal for doc in of_task[task])]
            if left:
                asked = [doc for task in left for doc in of_task[task]]
                beside = [of_task[task][0] for task in batch]
                answers = answer_tasks(self.engine, self.base, asked, self.settings, quiet, self.writer, beside)
                self.journal.add_all(dict(zip(map(self._arc_key, asked), answers, strict=True)))
        return [str(self.journal[self._arc_key(doc)]) for doc in docs]

    def _arc_key(self, doc: Mapping[str, Any]) -> str:
        return self._key(f"{doc['task_id']}:{doc['test']}")


def _items(contexts: Sequence[Context], records: Sequence[PassageRecord]) -> list[GradingItem]:
    """What a grader is asked of the answers to passages; nothing of a passage that was not learnt."""
    return [
        (question.text, question.golds, answer.answer)
        for context, record in zip(contexts, records, strict=True)
        if not record.failure
        for question, answer in zip(context.questions, record.answers, strict=True)
    ]
