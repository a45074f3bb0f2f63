"""The inner loop: the same as PEFT with AdamW, repeatable, and never trained on padding."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from conftest import random_adapter
from torch.testing import assert_close

from seal_agent.base_model.model import BaseModel
from seal_agent.config import InnerLoopConfig, PolicyGradientConfig
from seal_agent.errors import InputError, ModelError, TrainingError
from seal_agent.lora.adapter import LoraAdapter, new_adapter
from seal_agent.lora.targets import find_targets
from seal_agent.training import train as train_module
from seal_agent.training.full import train_full
from seal_agent.training.jobs import TrainedAdapter, TrainJob, decay, steps_of
from seal_agent.training.loss_scale import infinite_weights
from seal_agent.training.policy_gradient import Sampled, update_policy
from seal_agent.training.sequences import encode
from seal_agent.training.train import train, train_each
from seal_agent.types import IGNORE_LABEL, Note, TrainingSequence

QUICK = InnerLoopConfig(rank=4, alpha=8.0, epochs=3, learning_rate=1e-2, targets=("default",), batch_size=1)
NOTES = (Note("Tarawa is big."), Note("Where is Banaba?", "In the west of the group."), Note("Makin is small."))


def sequences(base: BaseModel) -> tuple[TrainingSequence, ...]:
    return encode(
        base, "Kiribati", NOTES, ["Kiribati is a state in the Pacific, and most of its people live on Tarawa."]
    )


def trained(base: BaseModel, config: InnerLoopConfig = QUICK, start: LoraAdapter | None = None) -> LoraAdapter:
    return train(base, [TrainJob(sequences(base), config, start)])[0].adapter


def same(left: LoraAdapter, right: LoraAdapter) -> bool:
    return left.pairs.keys() == right.pairs.keys() and all(
        torch.equal(left.pairs[n].a_DR, right.pairs[n].a_DR) and torch.equal(left.pairs[n].b_RO, right.pairs[n].b_RO)
        for n in left.pairs
    )


def close(left: LoraAdapter, right: LoraAdapter) -> bool:
    """The same but for the rounding of a matrix product, whose order of sums depends on its number of rows."""
    return left.pairs.keys() == right.pairs.keys() and all(
        torch.allclose(delta(left, name), delta(right, name), atol=1e-6, rtol=1e-4) for name in left.pairs
    )


def delta(adapter: LoraAdapter, name: str) -> torch.Tensor:
    return adapter.scale * adapter.pairs[name].a_DR @ adapter.pairs[name].b_RO


# ---------------------------------------------------------------- epochs


def test_a_sequence_may_be_learnt_in_one_epoch_alone(tiny_base: BaseModel) -> None:
    every, config = sequences(tiny_base), replace(QUICK, epochs=2)
    in_turn = tuple(replace(one, epoch=epoch) for epoch in range(2) for one in every)
    job, same_job = TrainJob(every, config), TrainJob(in_turn, config)
    assert steps_of(job) == steps_of(same_job) == 8
    (left,), (right,) = train(tiny_base, [job]), train(tiny_base, [same_job])
    assert close(left.adapter, right.adapter), "what begins alike is shared, which changes the rounding"
    some = TrainJob((*every, *(replace(one, epoch=1) for one in every[:3])), replace(config, batch_size=2))
    assert steps_of(some) == train(tiny_base, [some])[0].summary.steps == 2 + 4


def test_epochs_without_a_sequence_are_left_out_and_a_job_without_any_is_refused(tiny_base: BaseModel) -> None:
    late = tuple(replace(one, epoch=2) for one in sequences(tiny_base))
    assert train(tiny_base, [TrainJob(late, QUICK)])[0].summary.steps == 4
    with pytest.raises(InputError, match="nothing to train on"):
        train(tiny_base, [TrainJob(late, replace(QUICK, epochs=2))])


# ---------------------------------------------------------------- repeatable


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_a_seed_gives_the_same_bits_twice_and_another_seed_others(tiny_base: BaseModel, dropout: float) -> None:
    config = replace(QUICK, dropout=dropout)
    assert same(trained(tiny_base, config), trained(tiny_base, config))
    assert not same(trained(tiny_base, config), trained(tiny_base, replace(config, seed=1)))


def test_dropout_changes_what_is_learnt(tiny_base: BaseModel) -> None:
    assert not same(trained(tiny_base), trained(tiny_base, replace(QUICK, dropout=0.3)))


def test_the_loss_falls_and_the_summary_counts(tiny_base: BaseModel) -> None:
    config = replace(QUICK, epochs=8, batch_size=3)
    (result,) = train(tiny_base, [TrainJob(sequences(tiny_base), config)])
    losses = result.summary.epoch_losses
    assert len(losses) == 8
    assert losses[-1] < 0.8 * losses[0]
    assert result.summary.sequences == 4
    assert result.summary.steps == 2 * 8
    assert result.summary.tokens == 8 * sum(len(s.input_ids) for s in sequences(tiny_base))


def test_training_leaves_the_base_model_as_it_was(tiny_base: BaseModel) -> None:
    before = copy.deepcopy(tiny_base.module.state_dict())
    trained(tiny_base)
    assert all(torch.equal(before[key], value) for key, value in tiny_base.module.state_dict().items())
    assert not any(p.requires_grad for p in tiny_base.module.parameters())


def test_jobs_together_give_what_each_gives_alone(tiny_base: BaseModel) -> None:
    configs = [QUICK, replace(QUICK, rank=2, epochs=2, seed=5), replace(QUICK, targets=("all",), schedule="cosine")]
    jobs = [TrainJob(sequences(tiny_base)[i:], config) for i, config in enumerate(configs)]
    seen: list[tuple[int, int]] = []
    together = train(tiny_base, jobs, lambda done, total: seen.append((done, total)))
    for job, result in zip(jobs, together, strict=True):
        (alone,) = train(tiny_base, [job])
        assert close(result.adapter, alone.adapter)
        assert (result.summary.steps, result.summary.tokens) == (alone.summary.steps, alone.summary.tokens)
        assert result.summary.epoch_losses == pytest.approx(alone.summary.epoch_losses, rel=1e-5)
    total = sum(result.summary.steps for result in together)
    assert seen == [(i + 1, total) for i in range(total)]


# ---------------------------------------------------------------- padding


@pytest.mark.parametrize("which", ["tiny_base", "tiny_gpt2_base"])
def test_the_padding_id_does_not_matter(which: str, request: pytest.FixtureRequest) -> None:
    base: BaseModel = request.getfixturevalue(which)
    config = replace(QUICK, batch_size=2)
    usual = trained(base, config)
    base.tokenizer.pad_token = "z"
    assert same(usual, trained(base, config))


def test_a_batch_of_unequal_lengths_is_the_mean_over_its_tokens(tiny_base: BaseModel) -> None:
    """Against the loss worked out row by row without any padding."""
    short, long = sequences(tiny_base)[0], sequences(tiny_base)[-1]
    (result,) = train(tiny_base, [TrainJob((short, long), replace(QUICK, epochs=1, batch_size=2))])
    total, count = 0.0, 0
    for row in (short, long):
        ids = torch.tensor([row.input_ids])
        with torch.no_grad():
            logits = tiny_base.module(input_ids=ids).logits[0, :-1]
        total += torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="sum").item()
        count += len(row.input_ids) - 1
    assert result.summary.epoch_losses[0] == pytest.approx(total / count, rel=1e-5)


# ---------------------------------------------------------------- against PEFT


def train_with_peft(base: BaseModel, start: LoraAdapter, rows: tuple[TrainingSequence, ...]) -> LoraAdapter:
    """The slow, obvious reference: PEFT's model, torch's AdamW, one row a step, linear decay."""
    import random

    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=start.rank,
        lora_alpha=start.alpha,
        target_modules=list(start.pairs),
        fan_in_fan_out=start.transposed,
        task_type="CAUSAL_LM",
    )
    model = get_peft_model(copy.deepcopy(base.module), config)
    layers = {name: model.base_model.model.get_submodule(name) for name in start.pairs}
    for name, layer in layers.items():
        layer.lora_A["default"].weight.data = start.pairs[name].a_DR.T.clone()
        layer.lora_B["default"].weight.data = start.pairs[name].b_RO.T.clone()
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=QUICK.learning_rate, weight_decay=0.0)
    order, total = random.Random(QUICK.seed), QUICK.epochs * len(rows)
    for step, row in enumerate(r for _ in range(QUICK.epochs) for r in order.sample(list(rows), len(rows))):
        optimizer.param_groups[0]["lr"] = QUICK.learning_rate * (1 - step / total)
        model(input_ids=torch.tensor([row.input_ids]), labels=torch.tensor([row.labels])).loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad()
    pairs = {
        name: type(start.pairs[name])(
            layer.lora_A["default"].weight.detach().T, layer.lora_B["default"].weight.detach().T
        )
        for name, layer in layers.items()
    }
    return replace(start, pairs=pairs)


@pytest.mark.parametrize("which", ["tiny_base", "tiny_gpt2_base"])
@pytest.mark.parametrize("fresh", [True, False])
def test_training_equals_peft_and_adamw(which: str, fresh: bool, request: pytest.FixtureRequest) -> None:
    base: BaseModel = request.getfixturevalue(which)
    names = find_targets(base.module, QUICK.targets)
    start = new_adapter(base.module, names, QUICK.rank, QUICK.alpha, 0) if fresh else random_adapter(base, 3)
    reference = train_with_peft(base, start, sequences(base))
    got = trained(base, QUICK, start)
    for name in names:
        assert delta(got, name).abs().max() > 1e-3
        assert_close(delta(got, name), delta(reference, name), atol=1e-5, rtol=1e-4)


def test_training_continues_from_an_adapter(tiny_base: BaseModel) -> None:
    first = train(tiny_base, [TrainJob(sequences(tiny_base), QUICK)])[0]
    kept = copy.deepcopy(first.adapter)
    second = train(tiny_base, [TrainJob(sequences(tiny_base), QUICK, first.adapter)])[0]
    assert second.summary.epoch_losses[0] < first.summary.epoch_losses[0]
    assert not same(second.adapter, first.adapter)
    assert same(first.adapter, kept), "the adapter it started from must not change"


# ---------------------------------------------------------------- failures and schedules


def test_a_loss_that_is_not_finite_is_an_error_with_the_fix(tiny_base: BaseModel) -> None:
    tiny_base.module.lm_head.weight.data[5] = float("nan")
    with pytest.raises(TrainingError, match=r"try a smaller learning_rate than 0\.01"):
        trained(tiny_base)


def test_weights_that_are_not_finite_name_the_precision_where_it_may_be_the_cause() -> None:
    assert "dtype bfloat16" in str(infinite_weights(torch.float16))
    assert "dtype" not in str(infinite_weights(torch.bfloat16))
    assert "smaller learning_rate" in str(infinite_weights(torch.float16))


@pytest.mark.parametrize("rows", [(), (TrainingSequence((1, 2), (IGNORE_LABEL, IGNORE_LABEL)),)])
def test_nothing_to_learn_is_an_input_error(tiny_base: BaseModel, rows: tuple[TrainingSequence, ...]) -> None:
    with pytest.raises(InputError, match="nothing to train on"):
        train(tiny_base, [TrainJob(rows, QUICK)])


def test_a_job_with_nothing_to_learn_fails_alone_and_says_which_text(tiny_base: BaseModel) -> None:
    (token,) = tiny_base.tokenizer("x")["input_ids"]
    results, _ = train_each(
        tiny_base, [TrainJob(sequences(tiny_base), QUICK), TrainJob((TrainingSequence((token,), (token,)),), QUICK)]
    )
    assert isinstance(results[0], TrainedAdapter)
    assert isinstance(results[1], InputError)
    assert str(results[1]) == "there is nothing to train on: 'x' has no token to learn; give a longer text"


def test_a_row_with_nothing_to_learn_among_others_does_no_harm(tiny_base: BaseModel) -> None:
    """A text of one token has no token to predict."""
    rows = (*sequences(tiny_base), TrainingSequence((7,), (7,)))
    (result,) = train(tiny_base, [TrainJob(rows, QUICK)])
    assert same(result.adapter, trained(tiny_base))
    assert result.summary.sequences == 4


def test_schedules_start_at_one_and_decay_to_zero() -> None:
    for schedule in ("linear", "cosine"):
        factors = [decay(schedule, step, 10) for step in range(11)]
        assert factors[0] == 1
        assert factors[-1] == pytest.approx(0)
        assert factors == sorted(factors, reverse=True)
    assert decay("constant", 9, 10) == 1


def test_no_layer_is_moved_further_than_the_limit(tiny_base: BaseModel) -> None:
    config = replace(QUICK, targets=("all",), epochs=6, learning_rate=0.02, max_update=0.05)
    free, bound = (train(tiny_base, [TrainJob(sequences(tiny_base), c)])[0].adapter for c in (
        replace(config, max_update=None), config,
    ))  # fmt: skip

    def share(adapter: LoraAdapter, name: str) -> float:
        update = adapter.scale * adapter.pairs[name].a_DR @ adapter.pairs[name].b_RO
        return float(update.norm() / tiny_base.module.get_submodule(name).get_parameter("weight").norm())

    assert max(share(free, name) for name in free.pairs) > 0.06
    assert 0.03 < max(share(bound, name) for name in bound.pairs) < 0.0501


def test_a_gpu_takes_as_many_tokens_as_the_activations_of_its_model_leave_room_for(
    tiny_base: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Elsewhere:
        type = "cuda"

    assert train_module._default_budget(tiny_base) == train_module.TOKENS_PER_PASS["cpu"]
    monkeypatch.setattr(type(tiny_base), "device", property(lambda _: Elsewhere()))
    monkeypatch.setattr(train_module, "available_bytes", lambda _: 1 << 40)
    assert train_module._default_budget(tiny_base) == train_module.TOKENS_PER_PASS["cuda"]
    budgets = []
    for gib in (1, 2):
        monkeypatch.setattr(train_module, "available_bytes", lambda _, gib=gib: gib << 20)
        budgets.append(train_module._default_budget(tiny_base))
    assert 1 < budgets[0] < budgets[1] < train_module.TOKENS_PER_PASS["cuda"]


# ---------------------------------------------------------------- what cannot be trained


@pytest.mark.parametrize("trainable", [False, True])
def test_weights_that_take_no_gradient_are_refused(tiny_base: BaseModel, trainable: bool) -> None:
    """transformers runs FP8 and MXFP4 through kernels without a right backward pass, and says so here alone."""
    form = SimpleNamespace(is_trainable=trainable, quantization_config=SimpleNamespace(quant_method="mxfp4"))
    tiny_base.module.hf_quantizer = form
    lesson = sequences(tiny_base)
    ways: list[Callable[[], object]] = [
        lambda: train(tiny_base, [TrainJob(lesson, replace(QUICK, epochs=1))]),
        lambda: train_full(tiny_base, lesson, replace(QUICK, epochs=1, full=True, null_space=0, shrink=0)),
        lambda: update_policy(
            tiny_base, [[Sampled(s, float(i)) for i, s in enumerate(lesson)]], PolicyGradientConfig(rank=4)
        ),
    ]
    for way in ways:
        if trainable:
            way()
            continue
        with pytest.raises(ModelError, match=r"are quantised as mxfp4, .*; load the same model in bfloat16"):
            way()


def test_a_sequence_beyond_the_window_fails_its_own_job_in_a_sentence(tiny_gpt2_base: BaseModel) -> None:
    """GPT-2 has learnt a position for each place of its window, and none for others."""
    base = tiny_gpt2_base
    base.module.config.n_positions = 128
    ids = tuple(range(10, 74)) * (base.window // 64)
    fits, exceeds = TrainingSequence(ids, ids), TrainingSequence((*ids, 9), (*ids, 9))
    config, steps = replace(QUICK, epochs=1), list[tuple[int, int]]()
    first, second = train_each(
        base, [TrainJob((exceeds,), config), TrainJob((fits,), config)], lambda *at: steps.append(at)
    )[0]
    assert isinstance(second, TrainedAdapter)
    assert steps == [(1, 1)]
    assert str(first) == (
        f"a sequence to train on has {base.window + 1} tokens, but the window of 'tiny-gpt2' is {base.window}; "
        "cut the text into shorter ones"
    )
    with pytest.raises(TrainingError, match="cut the text"):
        train_full(base, [exceeds], replace(config, full=True, null_space=0, shrink=0))
    with pytest.raises(TrainingError, match="cut the text"):
        update_policy(base, [[Sampled(exceeds, 1.0), Sampled(fits, 0.0)]], PolicyGradientConfig())
