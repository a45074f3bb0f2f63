"""Adapters fitted again when they are trained, so that they read their lesson and little else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from seal_agent.base_model.model import BaseModel
from seal_agent.config import InnerLoopConfig
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.lora.routing import routed
from seal_agent.lora.serving import serving_route
from seal_agent.lora.targets import find_targets
from seal_agent.training import pool
from seal_agent.training import train as training
from seal_agent.training.bank.storage import LoraBank
from seal_agent.training.jobs import TrainJob
from seal_agent.training.retention import ridge_refit as refit_module
from seal_agent.training.retention import spectra
from seal_agent.training.retention.spectra import Directions, principal_directions
from seal_agent.training.train import train
from seal_agent.types import TrainingSequence

ORDINARY = [[5 + (i * 7 + k * 3) % 90 for i in range(24)] for k in range(6)]
LESSON = tuple(TrainingSequence(ids, ids) for k in range(4) for ids in [tuple(range(120 + k, 140))])
CONFIG = InnerLoopConfig(
    rank=4, alpha=8, epochs=3, batch_size=2, learning_rate=1e-2, targets=("all",), null_space=0.5, shrink=1.0
)


def trained(
    base: BaseModel, shrink: float, start: LoraAdapter | None = None, null_space: float = 0.5
) -> tuple[LoraAdapter, Directions]:
    directions = principal_directions(base, find_targets(base.module, ("all",)), ORDINARY)
    config = replace(CONFIG, shrink=shrink, null_space=null_space)
    return train(base, [TrainJob(LESSON, config, start, directions)])[0].adapter, directions


def test_the_lesson_is_read_without_dropout(tiny_base: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    directions = principal_directions(tiny_base, find_targets(tiny_base.module, ("all",)), ORDINARY)
    refits: list[torch.Tensor] = []

    def twice(base: BaseModel, bank: LoraBank, *others: Any) -> None:
        before, dropouts = bank.weights_KP.clone(), list(bank.dropouts)
        for rates in (dropouts, [0.0] * len(dropouts)):
            bank.weights_KP.copy_(before)
            bank.dropouts[:] = rates
            refit_module.ridge_refit(base, bank, *others)
            refits.append(bank.weights_KP.clone())

    monkeypatch.setattr(pool, "ridge_refit", twice)
    train(tiny_base, [TrainJob(LESSON, replace(CONFIG, dropout=0.3), None, directions)])
    assert torch.equal(*refits)


def inputs_of(base: BaseModel, name: str, adapter: LoraAdapter, texts: list[list[int]]) -> torch.Tensor:
    """What a layer reads of these texts, tokens × inputs."""
    seen: list[torch.Tensor] = []
    layer = base.module.get_submodule(name)
    handle = layer.register_forward_pre_hook(lambda _, x: seen.append(x[0][0].float()))
    with torch.no_grad(), routed(serving_route(base.module, [adapter], base.device, base.dtype)):
        for ids in texts:
            base.module(torch.tensor([ids]))
    handle.remove()
    return torch.cat(seen)


def moved(base: BaseModel, adapter: LoraAdapter, texts: list[list[int]]) -> float:
    total = 0.0
    with torch.no_grad():
        for ids in (torch.tensor([ids]) for ids in texts):
            before = base.module(ids).logits
            with routed(serving_route(base.module, [adapter], base.device, base.dtype)):
                total += float((base.module(ids).logits - before).abs().mean())
    return total


@pytest.mark.parametrize("null_space", [0.5, 0.0])
def test_a_is_the_closed_form_over_what_the_layer_reads(tiny_base: BaseModel, null_space: float) -> None:
    free, directions = trained(tiny_base, 0.0, null_space=null_space)
    shrunk, _ = trained(tiny_base, 2.0, null_space=null_space)
    name = next(name for name in free.pairs if name.endswith("down_proj"))
    spectrum = directions[name]
    first = spectrum.protected_count(null_space)
    open_DU, energy_U = spectrum.directions_DK[:, first:], spectrum.energy_K[first:]
    x_NU = inputs_of(tiny_base, name, free, [list(s.input_ids) for s in LESSON]) @ open_DU
    lesson_UU = x_NU.T @ x_NU / len(x_NU)
    penalty_UU = torch.diag(2.0 * energy_U.clamp(min=refit_module.MIN_ENERGY_SHARE * float(energy_U.mean())))
    before_DR, after_DR = free.pairs[name].a_DR, shrunk.pairs[name].a_DR
    expected_UR = torch.linalg.solve(lesson_UU + penalty_UU, lesson_UU @ open_DU.T @ before_DR)
    torch.testing.assert_close(open_DU.T @ after_DR, expected_UR, atol=1e-4, rtol=1e-3)
    closed_DS = spectrum.directions_DK[:, :first]
    torch.testing.assert_close(closed_DS.T @ after_DR, closed_DS.T @ before_DR, atol=1e-5, rtol=0)
    assert torch.equal(free.pairs[name].b_RO, shrunk.pairs[name].b_RO)


@pytest.mark.parametrize("null_space", [0.1, 0.0])
def test_of_wide_layers_the_same_form_is_solved_without_their_moments(
    tiny_base: BaseModel, monkeypatch: pytest.MonkeyPatch, null_space: float
) -> None:
    monkeypatch.setattr(spectra, "KEPT", 24)
    free, directions = trained(tiny_base, 0.0, null_space=null_space)
    shrunk, _ = trained(tiny_base, 2.0, null_space=null_space)
    for name in (name for name in free.pairs if name.endswith(("down_proj", "q_proj"))):
        spectrum = directions[name]
        assert spectrum.is_partial
        first = spectrum.protected_count(null_space)
        closed_DS, open_DV = spectrum.directions_DK.tensor_split([first], dim=1)
        project_DD = torch.eye(spectrum.width) - closed_DS @ closed_DS.T
        rest_DD = project_DD - open_DV @ open_DV.T
        energy_DD = 2.0 * (open_DV * spectrum.energy_K[first:] @ open_DV.T + spectrum.rest * rest_DD)
        x_ND = inputs_of(tiny_base, name, free, [list(s.input_ids) for s in LESSON]) @ project_DD
        lesson_DD = x_ND.T @ x_ND / len(x_ND)
        before_DR, after_DR = free.pairs[name].a_DR, shrunk.pairs[name].a_DR
        expected_DR = torch.linalg.pinv(lesson_DD + energy_DD) @ lesson_DD @ before_DR
        torch.testing.assert_close(project_DD @ after_DR, expected_DR, atol=1e-3, rtol=1e-2)
        torch.testing.assert_close(closed_DS.T @ after_DR, closed_DS.T @ before_DR, atol=1e-5, rtol=0)


def test_ordinary_text_moves_less_and_the_lesson_stays(tiny_base: BaseModel) -> None:
    free, _ = trained(tiny_base, 0.0)
    shrunk, _ = trained(tiny_base, 1.0)
    lesson = [list(s.input_ids) for s in LESSON]
    assert moved(tiny_base, shrunk, ORDINARY) < 0.8 * moved(tiny_base, free, ORDINARY)
    ratio = (moved(tiny_base, shrunk, lesson) / moved(tiny_base, free, lesson)) / (
        moved(tiny_base, shrunk, ORDINARY) / moved(tiny_base, free, ORDINARY)
    )
    assert ratio > 1.1, "the lesson keeps more of its effect than ordinary text"


def test_without_packing_the_same_comes_out(tiny_base: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    packed, _ = trained(tiny_base, 1.0)
    for module in (training, pool, refit_module):
        monkeypatch.setattr(module, "supports_packing", lambda base: False)
    monkeypatch.setattr(training, "supports_shared_prefixes", lambda base: False)
    padded, _ = trained(tiny_base, 1.0)
    for name, pair in packed.pairs.items():
        torch.testing.assert_close(padded.pairs[name].a_DR, pair.a_DR, atol=2e-3, rtol=2e-2)


def test_each_of_several_adapters_is_fitted_to_its_own_lesson(tiny_base: BaseModel) -> None:
    directions = principal_directions(tiny_base, find_targets(tiny_base.module, ("all",)), ORDINARY)
    lessons = [LESSON, tuple(TrainingSequence(ids, ids) for k in range(3) for ids in [tuple(range(160 + k, 175))])]
    together = train(tiny_base, [TrainJob(lesson, CONFIG, None, directions) for lesson in lessons])
    for lesson, one in zip(lessons, together, strict=True):
        (alone,) = train(tiny_base, [TrainJob(lesson, CONFIG, None, directions)])
        for name, pair in alone.adapter.pairs.items():
            torch.testing.assert_close(one.adapter.pairs[name].a_DR, pair.a_DR, atol=2e-3, rtol=2e-2)


def test_shrink_is_not_negative() -> None:
    with pytest.raises(ValueError, match="shrink"):
        InnerLoopConfig(shrink=-0.1)
