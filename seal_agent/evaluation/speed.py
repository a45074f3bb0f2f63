"""Inner loops per hour, seconds per passage and decoding speed, in rounds."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice

from seal_agent.evaluation.contestant import BeginStage, Contestant
from seal_agent.prompts import question_prompt
from seal_agent.types import Context, Message, Sampling

HOUR = 3600.0
DECODED_ROWS, DECODED_TOKENS = 32, 64
"""The batch whose decoding is timed; 32 rows fill two cores."""


@dataclass(frozen=True, slots=True)
class Round:
    """What a round measured, and the passages whose training failed; no scores where none was learnt."""

    scores: Mapping[str, float]
    failures: tuple[str, ...] = ()


def run_round(contestant: Contestant, contexts: Sequence[Context], seed: int, begin: BeginStage) -> Round:
    """Learn the passages together, answer their questions, and decode a batch; seconds are wall-clock time.

    Passages whose training failed take time, and count as no inner loop.
    """
    records = contestant.measure(contexts, seed, begin)
    learnt = [record for record in records if not record.failure]
    failures = tuple(f"{record.title}: {record.failure}" for record in records if record.failure)
    if not learnt:
        return Round({}, failures)
    learning = sum(record.seconds_to_write + record.seconds_to_train for record in records)
    answers = sum(len(record.answers) for record in learnt)
    scores = {
        "seconds_per_answer": sum(record.seconds_to_answer for record in records) / max(1, answers),
        "decoded_tokens_per_second": _decoding(contestant, contexts, begin),
        "inner_loops_per_hour": HOUR * len(learnt) / learning,
        "seconds_per_passage": learning / len(learnt),
    }
    return Round(scores, failures)


def _decoding(contestant: Contestant, contexts: Sequence[Context], begin: BeginStage) -> float:
    """New tokens per second of the base model, over one batch."""
    questions = cycle(question_prompt(c.title, q.text) for c in contexts for q in c.questions)
    prompts = [(Message("user", text),) for text in islice(questions, DECODED_ROWS)]
    started = time.perf_counter()
    completions = contestant.engine.generate(prompts, Sampling(DECODED_TOKENS), progress=begin("decoding"))
    return sum(completion.tokens for completion in completions) / (time.perf_counter() - started)
