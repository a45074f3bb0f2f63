"""From a task and a choice of augmentations to training sequences: leave some examples out, see them changed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations, cycle, islice

from seal_agent.arc.augment import IDENTITY, augmentations_of, colour_permutation, on_task, permuted
from seal_agent.arc.choices import Choice
from seal_agent.arc.grids import ArcTask
from seal_agent.arc.text import lay_out_examples
from seal_agent.base_model.model import BaseModel
from seal_agent.config import ArcConfig, InnerLoopConfig
from seal_agent.errors import InputError
from seal_agent.training.jobs import TrainJob, steps_of
from seal_agent.types import IGNORE_LABEL, TrainingSequence

LEFT_OUT = (1, 2)  # SEAL: leave-one-out and leave-two-out tasks
PLAIN_SHARE = 2  # our choice: every second task is not augmented, but for its colours and the order of its examples


def job_of(base: BaseModel, task: ArcTask, choice: Choice, config: ArcConfig, inner_loop: InnerLoopConfig) -> TrainJob:
    """What one adapter is trained on for one task.

    Raises InputError where no sequence fits the model's window, or for more steps than `config.max_steps`.
    """
    tasks = training_tasks(task, choice, config, inner_loop.seed)
    sequences = tuple(
        s for s in (encode(base, one, choice, config) for one in tasks) if len(s.input_ids) <= base.window
    )
    if not sequences:
        raise InputError(
            f"no part of task {task.id} fits the model's window of {base.window} tokens; "
            "use a model with a longer one, or the compact style"
        )
    job = TrainJob(sequences, choice.applied_to(inner_loop))
    if (steps := steps_of(job)) > config.max_steps:
        raise InputError(
            f"the self-edit for task {task.id} asks for {steps} steps and {config.max_steps} are allowed; "
            "take fewer epochs, or raise max_steps"
        )
    return job


def training_tasks(task: ArcTask, choice: Choice, config: ArcConfig, seed: int) -> tuple[ArcTask, ...]:
    """At most `config.max_sequences` different tasks, each with one test example whose output is known.

    Leave-one-out and leave-two-out tasks in turn, every second one changed by the next of the chosen augmentations,
    each with the order of its examples and its colours drawn anew. Fewer where no more can be told apart.
    """
    drawn = dict.fromkeys(islice(_drawn(task, choice, config, seed), config.max_sequences * 2))
    return tuple(islice(drawn, config.max_sequences))


def _drawn(task: ArcTask, choice: Choice, config: ArcConfig, seed: int) -> Iterator[ArcTask]:
    rng = random.Random(f"{seed} {task.id}")
    left_out = [smaller for count in LEFT_OUT for smaller in _without(task, count)]
    changes = augmentations_of(
        basic=choice.basic, size=choice.size, chain=choice.chain, repeat=choice.repeat, seed=rng.randrange(2**32)
    )
    fitting = [change for change in changes if on_task(change, replace(task, test=()))]
    rng.shuffle(left_out)
    rng.shuffle(fitting)
    ways = cycle(way for change in fitting or [IDENTITY] for way in (*[IDENTITY] * (PLAIN_SHARE - 1), change))
    for smaller, way in zip(cycle(left_out), ways, strict=False):
        colours = colour_permutation(rng.randrange(2**32), config.keep_background)
        changed = on_task(way, smaller)
        recoloured = on_task(colours, changed) if changed and config.colours else changed
        if recoloured:
            yield permuted(recoloured, rng.randrange(2**32))


def _without(task: ArcTask, count: int) -> Iterator[ArcTask]:
    """Every way to leave out so many examples and still have one to learn from; the first left out is the test."""
    if count >= len(task.train) and count > 1:
        return
    for out in combinations(range(len(task.train)), count):
        rest = tuple(example for at, example in enumerate(task.train) if at not in out)
        for test in out:
            yield ArcTask(task.id, rest, (task.train[test],))


def encode(base: BaseModel, task: ArcTask, choice: Choice, config: ArcConfig) -> TrainingSequence:
    """The task as one text; of "output_tokens", every output but the first is learnt, which nothing explains.

    Which tokens those are is what the tokenizer's own offsets say.
    """
    laid = lay_out_examples((*task.train, *task.test), config.style)
    read = base.tokenizer(laid.text, return_offsets_mapping=True)
    ids, offsets = read["input_ids"], read["offset_mapping"]
    if choice.strategy == "all_tokens":
        return TrainingSequence(tuple(ids), tuple(ids))
    learnt = laid.outputs[1:] or laid.outputs
    labels = [
        token if any(begin <= at < end for begin, end in learnt) and until > at else IGNORE_LABEL
        for token, (at, until) in zip(ids, offsets, strict=True)
    ]
    return TrainingSequence(tuple(ids), tuple(labels))
