"""GRPO on the bank against the same by autograd on a PEFT model; groups that agree carry no gradient."""

from __future__ import annotations

import copy
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from bank_jobs import base_of
from conftest import random_adapter

from seal_agent.base_model.model import BaseModel
from seal_agent.config import PolicyGradientConfig
from seal_agent.lora.adapter import LoraAdapter, LoraPair
from seal_agent.training import policy_gradient
from seal_agent.training.packing import Batch, Row, lay_out
from seal_agent.training.policy_gradient import Sampled, advantages_of, steps_of, update_policy
from seal_agent.types import IGNORE_LABEL, TrainingSequence

CONFIG = PolicyGradientConfig(passes=4, learning_rate=2e-2, kl=0.3, clip=0.1, batch_size=3, rank=4, alpha=8.0)


def answers(seed: int, rewards: tuple[float, ...]) -> list[Sampled]:
    """Random answers of unequal length behind one prompt."""
    draw = random.Random(seed)
    prompt = [draw.randrange(4, 260) for _ in range(9)]
    sampled = []
    for reward in rewards:
        answer = [draw.randrange(4, 260) for _ in range(draw.randint(2, 9))]
        sequence = TrainingSequence((*prompt, *answer), (*[IGNORE_LABEL] * len(prompt), *answer))
        sampled.append(Sampled(sequence, reward))
    return sampled


GROUPS = [answers(0, (1.0, 0.0, 0.0)), answers(1, (1.0, 1.0, 1.0)), answers(2, (0.0, 1.0, 1.0, 0.5))]


@pytest.mark.parametrize("name", ["llama", "gemma", "mamba"])
@pytest.mark.parametrize("starts", [False, True])
def test_an_update_equals_autograd_on_a_peft_model(name: str, starts: bool) -> None:
    base = base_of(name)
    policy = gentle(random_adapter(base, 3, 4, ("all",))) if starts else None
    got = update_policy(base, GROUPS, CONFIG, policy)
    assert (got.answers, got.skipped) == (7, 1)
    assert 0 < got.clipped < 1
    want = by_autograd(base, CONFIG, policy or got.adapter, fresh=policy is None)
    for layer in want.pairs:
        ours, theirs = delta(got.adapter, layer), delta(want, layer)
        assert (ours - theirs).norm() <= 0.03 * theirs.norm() + 1e-7, layer


def test_a_better_answer_becomes_likelier_and_a_worse_one_less(tiny_base: BaseModel) -> None:
    config = replace(CONFIG, kl=0.0, clip=0.9, passes=3)
    better, worse = answers(5, (1.0, 0.0))
    after = update_policy(tiny_base, [[better, worse]], config).adapter
    change = [
        logprob(tiny_base, one.sequence, after) - logprob(tiny_base, one.sequence, None) for one in (better, worse)
    ]
    assert change[0] > 0.1
    assert change[1] < -0.1


def test_groups_that_agree_wholly_change_nothing(tiny_base: BaseModel) -> None:
    policy = random_adapter(tiny_base, 1, 4, ("all",))
    update = update_policy(tiny_base, [answers(1, (1.0, 1.0)), answers(2, (0.0, 0.0, 0.0))], CONFIG, policy)
    assert update.adapter is policy
    assert (update.answers, update.skipped) == (0, 2)


def test_advantages_have_mean_0_and_deviation_1() -> None:
    assert advantages_of([1.0, 0.0, 0.0, 1.0]) == [1.0, -1.0, -1.0, 1.0]
    assert advantages_of([0.3, 0.3]) == [0.0, 0.0]
    assert advantages_of([]) == []


def test_a_step_takes_whole_groups() -> None:
    assert steps_of([[0, 1], [2], [3, 4, 5], [6]], 3) == [[0, 1, 2], [3, 4, 5], [6]]


def test_the_prompt_of_a_group_is_computed_once(tiny_base: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    computed: list[int] = []

    def counted(rows: Sequence[Row], *rest: Any) -> Batch:
        batch = lay_out(rows, *rest)
        computed.append(batch.tokens)
        return batch

    monkeypatch.setattr(policy_gradient, "lay_out", counted)
    group = answers(0, (1.0, 0.0, 0.0, 0.0))
    update_policy(tiny_base, [group], replace(CONFIG, passes=1))
    assert set(computed) == {8 + sum(len(answer.sequence.input_ids) - 8 for answer in group)}


def gentle(adapter: LoraAdapter) -> LoraAdapter:
    return replace(adapter, pairs={name: LoraPair(p.a_DR, 0.05 * p.b_RO) for name, p in adapter.pairs.items()})


def delta(adapter: LoraAdapter, name: str) -> torch.Tensor:
    return adapter.scale * adapter.pairs[name].a_DR @ adapter.pairs[name].b_RO


def logprob(base: BaseModel, sequence: TrainingSequence, adapter: LoraAdapter | None) -> float:
    from seal_agent.lora.routing import routed
    from seal_agent.lora.serving import serving_route

    with torch.no_grad(), routed(serving_route(base.module, [adapter], base.device, base.dtype)):
        return float(label_logprobs_of(base.module, sequence).mean())


def label_logprobs_of(module: torch.nn.Module, sequence: TrainingSequence) -> torch.Tensor:
    logits = module(input_ids=torch.tensor([sequence.input_ids])).logits[0, :-1].float().log_softmax(-1)
    kept = [i for i, label in enumerate(sequence.labels[1:]) if label != IGNORE_LABEL]
    return logits[kept, torch.tensor(sequence.labels[1:])[kept]]


def by_autograd(base: BaseModel, config: PolicyGradientConfig, like: LoraAdapter, fresh: bool) -> LoraAdapter:
    """The same update, row by row, with the objective as the paper writes it."""
    from peft import LoraConfig, get_peft_model

    from seal_agent.lora.adapter import new_adapter

    start = new_adapter(base.module, tuple(like.pairs), config.rank, config.alpha, config.seed) if fresh else like
    lora = LoraConfig(
        r=start.rank, lora_alpha=start.alpha, target_modules=list(start.pairs), fan_in_fan_out=start.transposed
    )
    model = get_peft_model(copy.deepcopy(base.module), lora)
    layers = {name: model.base_model.model.get_submodule(name) for name in start.pairs}
    for name, layer in layers.items():
        layer.lora_A["default"].weight.data = start.pairs[name].a_DR.T.clone()
        layer.lora_B["default"].weight.data = start.pairs[name].b_RO.T.clone()
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=config.learning_rate, weight_decay=0.0)
    rows = [
        (answer.sequence, advantage)
        for group in GROUPS
        for answer, advantage in zip(group, advantages_of([a.reward for a in group]), strict=True)
        if advantage
    ]
    with torch.no_grad():
        old = [label_logprobs_of(model, sequence) for sequence, _ in rows]
        with model.disable_adapter():
            reference = [label_logprobs_of(model, sequence) for sequence, _ in rows]
    draw = random.Random(config.seed)
    for _ in range(config.passes):
        for chosen in draw.sample([[0, 1, 2], [3, 4, 5, 6]], 2):  # a group each
            for i in chosen:
                sequence, advantage = rows[i]
                now = label_logprobs_of(model, sequence)
                ratio, behind = (now - old[i]).exp(), reference[i] - now
                surrogate = torch.minimum(ratio * advantage, ratio.clamp(1 - config.clip, 1 + config.clip) * advantage)
                objective = (surrogate - config.kl * (behind.exp() - behind - 1)).mean()
                (-objective / len(chosen)).backward()
            torch.nn.utils.clip_grad_norm_(weights, config.max_grad_norm)
            optimizer.step()
            optimizer.zero_grad()
    pairs = {
        name: LoraPair(layer.lora_A["default"].weight.detach().T, layer.lora_B["default"].weight.detach().T)
        for name, layer in layers.items()
    }
    return replace(start, pairs=pairs)
