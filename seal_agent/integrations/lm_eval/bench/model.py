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
from seal_agent.integrations.lm_eval.arc import TASKS_AT_ONCE
from seal_agent.integrations.lm_eval.model import SealLM, _Request
from seal_agent.integrations.lm_eval.progress_bar import stages_on
from seal_agent.integrations.lm_eval.tasks import UNANSWERED
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

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """As `SealLM` does; silent if `quiet`."""
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
        """Measure the passages that the journal does not have, and write each batch down."""
        missing = [context for context in self.contexts if self._key(question_key(context)) not in self.journal]
        size = PASSAGES_AT_ONCE
        if missing and self.contestant.together:  # one adapter for all: some of them cannot be measured alone
            missing, size = self.contexts, len(self.contexts)
        with tqdm(
            total=len(self.contexts), initial=len(self.contexts) - len(missing), disable=quiet, unit="passage"
        ) as bar:
            for start in range(0, len(missing), size):
                batch = missing[start : start + size]
                begin = stages_on(bar, f"seed {self.seed}")
                records = self.contestant.measure(batch, self.seed, begin)
                keys = [self._key(question_key(context)) for context in batch]
                self.journal.add_all(dict(zip(keys, map(asdict, records), strict=True)))
                bar.update(len(batch))

    def _key(self, what: str) -> str:
        return f"{self.seed}:{what}"

    def _answer_arc(self, docs: Sequence[Mapping[str, Any]], quiet: bool) -> list[str]:
        """Answers to ARC's documents, a few tasks at a time, each kept under its task and test."""
        tests: dict[str, list[str]] = {}
        for doc in docs:
            tests.setdefault(str(doc["task_id"]), []).append(self._arc_key(doc))
        left = [task for task, keys in tests.items() if any(key not in self.journal for key in keys)]
        for start in range(0, len(left), TASKS_AT_ONCE):
            chunk = left[start : start + TASKS_AT_ONCE]
            of_chunk = [doc for doc in docs if str(doc["task_id"]) in chunk]
            answers = super()._answer_arc(of_chunk, quiet)
            self.journal.add_all(dict(zip(map(self._arc_key, of_chunk), answers, strict=True)))
        return [str(self.journal[self._arc_key(doc)]) for doc in docs]

    def _arc_key(self, doc: Mapping[str, Any]) -> str:
        return self._key(f"{doc['task_id']}:{doc['test']}")
