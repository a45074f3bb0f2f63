"""Inner loops per hour, seconds per passage and decoding speed, in rounds."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import cycle, islice

from seal_agent.evaluation.contestant import BeginStage, Contestant
from seal_agent.prompts import question_prompt
from seal_agent.types import Context, Message, Sampling

HOUR = 3600.0
DECODED_ROWS, DECODED_TOKENS = 32, 64
"""The batch whose decoding is timed; 32 rows fill two cores."""


def run_round(contestant: Contestant, contexts: Sequence[Context], seed: int, begin: BeginStage) -> dict[str, float]:
    """Learn the passages together, answer their questions, and decode a batch; seconds are wall-clock time."""
    records = contestant.measure(contexts, seed, begin)
    learning = sum(record.seconds_to_write + record.seconds_to_train for record in records)
    answers = sum(len(record.answers) for record in records)
    scores = {
        "seconds_per_answer": sum(record.seconds_to_answer for record in records) / max(1, answers),
        "decoded_tokens_per_second": _decoding(contestant, contexts, begin),
    }
    if contestant.recipe.mode == "self_edit":
        scores |= {
            "inner_loops_per_hour": HOUR * len(records) / learning,
            "seconds_per_passage": learning / len(records),
        }
    return scores


def _decoding(contestant: Contestant, contexts: Sequence[Context], begin: BeginStage) -> float:
    """New tokens per second of the base model, over one batch."""
    questions = cycle(question_prompt(c.title, q.text) for c in contexts for q in c.questions)
    prompts = [(Message("user", text),) for text in islice(questions, DECODED_ROWS)]
    started = time.perf_counter()
    completions = contestant.engine.generate(prompts, Sampling(DECODED_TOKENS), progress=begin("decoding"))
    return sum(completion.tokens for completion in completions) / (time.perf_counter() - started)
