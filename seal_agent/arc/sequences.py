"""Training sequences for a task: leave-one-out and leave-two-out tasks made of its examples, and augmented."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations, cycle, islice

from seal_agent.arc.augment import IDENTITY, augment_task, colour_permutation, permute_examples, select_augmentations
from seal_agent.arc.choices import Choice
from seal_agent.arc.grids import ArcTask
from seal_agent.arc.text import format_examples
from seal_agent.base_model.model import BaseModel
from seal_agent.config import ArcConfig, InnerLoopConfig
from seal_agent.errors import InputError
from seal_agent.training.jobs import TrainJob, steps_of
from seal_agent.types import IGNORE_LABEL, TrainingSequence

LEFT_OUT = (1, 2)  # SEAL: leave-one-out and leave-two-out tasks
AUGMENT_EVERY = 2  # not tuned: the other tasks only have their colours and the order of their examples changed


def job_of(base: BaseModel, task: ArcTask, choice: Choice, config: ArcConfig, inner_loop: InnerLoopConfig) -> TrainJob:
    """The training job of one adapter for one task.

    Raises InputError where no sequence fits the model's window, or for more steps than `config.max_steps`.
    """
    tasks = training_tasks(task, choice, config, inner_loop.seed)
    encoded = (encode(base, training_task, choice, config) for training_task in tasks)
    sequences = tuple(sequence for sequence in encoded if len(sequence.input_ids) <= base.window)
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
    """Up to `config.max_sequences` distinct tasks, each with one test example whose output is known.

    They cycle through the leave-one-out and leave-two-out tasks. Every second one gets the next of the chosen
    augmentations, and each gets new colours and a new order of its examples. Fewer where the draws repeat.
    """
    distinct = dict.fromkeys(islice(_draw_tasks(task, choice, config, seed), config.max_sequences * 2))
    return tuple(islice(distinct, config.max_sequences))


def _draw_tasks(task: ArcTask, choice: Choice, config: ArcConfig, seed: int) -> Iterator[ArcTask]:
    rng = random.Random(f"{seed} {task.id}")
    reduced_tasks = [reduced for count in LEFT_OUT for reduced in _leave_out(task, count)]
    augmentations = select_augmentations(
        basic=choice.basic, size=choice.size, chain=choice.chain, repeat=choice.repeat, seed=rng.randrange(2**32)
    )
    applicable = [augmentation for augmentation in augmentations if augment_task(augmentation, replace(task, test=()))]
    rng.shuffle(reduced_tasks)
    rng.shuffle(applicable)
    plain = [IDENTITY] * (AUGMENT_EVERY - 1)
    turns = cycle(turn for augmentation in applicable or [IDENTITY] for turn in (*plain, augmentation))
    for reduced, augmentation in zip(cycle(reduced_tasks), turns, strict=False):
        colours = colour_permutation(rng.randrange(2**32), config.keep_background)
        augmented = augment_task(augmentation, reduced)
        recoloured = augment_task(colours, augmented) if augmented and config.colours else augmented
        if recoloured:
            yield permute_examples(recoloured, rng.randrange(2**32))


def _leave_out(task: ArcTask, count: int) -> Iterator[ArcTask]:
    """Tasks without `count` of the examples, each of which is the test once.

    At least one example remains, except that a task of one example is left with none.
    """
    if count >= len(task.train) and count > 1:
        return
    for left_out in combinations(range(len(task.train)), count):
        remaining = tuple(example for index, example in enumerate(task.train) if index not in left_out)
        for test in left_out:
            yield ArcTask(task.id, remaining, (task.train[test],))


def encode(base: BaseModel, task: ArcTask, choice: Choice, config: ArcConfig) -> TrainingSequence:
    """The task as one sequence, trained on all tokens or ("output_tokens") on every output but the first.

    The first output is skipped, since nothing before it shows the rule. The tokenizer's offsets tell which tokens
    belong to an output.
    """
    formatted = format_examples((*task.train, *task.test), config.style)
    encoding = base.tokenizer(formatted.text, return_offsets_mapping=True)
    ids, offsets = encoding["input_ids"], encoding["offset_mapping"]
    if choice.strategy == "all_tokens":
        return TrainingSequence(tuple(ids), tuple(ids))
    trained = formatted.outputs[1:] or formatted.outputs
    labels = [
        token if any(begin <= start < end for begin, end in trained) and stop > start else IGNORE_LABEL
        for token, (start, stop) in zip(ids, offsets, strict=True)
    ]
    return TrainingSequence(tuple(ids), tuple(labels))
