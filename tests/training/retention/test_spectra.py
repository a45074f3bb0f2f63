"""Spectra: which directions a layer's inputs take, read in few passes and within a bound of memory."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from seal_agent.base_model.model import BaseModel
from seal_agent.lora.targets import find_targets
from seal_agent.training.packing import Batch
from seal_agent.training.retention import spectra
from seal_agent.training.retention.spectra import principal_directions

ORDINARY = [[5 + (i * 7 + k * 3) % 90 for i in range(24)] for k in range(6)]
TEXTS = [[5 + (i * 11 + k * k) % 300 for i in range(20 + 9 * k)] for k in range(9)]


def moment(base: BaseModel, name: str) -> torch.Tensor:
    """Mean of x xᵀ over what a layer reads, text by text."""
    seen: list[torch.Tensor] = []
    handle = base.module.get_submodule(name).register_forward_pre_hook(lambda _, x: seen.append(x[0][0].float()))
    with torch.no_grad():
        for ids in TEXTS:
            base.module(torch.tensor([ids]))
    handle.remove()
    x_TD = torch.cat(seen)
    return x_TD.T @ x_TD / len(x_TD)


def test_directions_are_orthonormal_and_sorted_and_shared_by_layers_with_the_same_input(tiny_base: BaseModel) -> None:
    names = find_targets(tiny_base.module, ("all",))
    directions = principal_directions(tiny_base, names, ORDINARY)
    inputs = {}
    layer = tiny_base.module.get_submodule(names[0])
    handle = layer.register_forward_pre_hook(lambda _, x: inputs.setdefault("x", x[0][0].float()))
    tiny_base.module(torch.tensor([ORDINARY[0]]))
    handle.remove()
    for spectrum in directions.values():
        torch.testing.assert_close(
            spectrum.directions_DK.T @ spectrum.directions_DK, torch.eye(len(spectrum.energy_K)), atol=1e-4, rtol=0
        )
    energy = (inputs["x"] @ directions[names[0]].directions_DK).square().sum(0)
    assert energy[: len(energy) // 2].sum() > 3 * energy[len(energy) // 2 :].sum()
    for spectrum in directions.values():
        assert spectrum.energy_K.min() >= 0
        assert torch.equal(spectrum.energy_K, spectrum.energy_K.sort(descending=True).values)
    q, k = (next(n for n in names if n.endswith(end)) for end in ("q_proj", "k_proj"))
    assert directions[q] is directions[k]
    assert directions[q] is not directions[next(n for n in names if n.endswith("down_proj"))]


def test_energy_and_directions_are_those_of_the_moments_text_by_text(tiny_base: BaseModel) -> None:
    names = find_targets(tiny_base.module, ("all",))
    for name, spectrum in principal_directions(tiny_base, names, TEXTS).items():
        rebuilt = spectrum.directions_DK * spectrum.energy_K @ spectrum.directions_DK.T
        torch.testing.assert_close(rebuilt, moment(tiny_base, name), atol=1e-4, rtol=1e-3)


def test_what_another_thread_computes_meanwhile_is_not_read(
    tiny_base: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = find_targets(tiny_base.module, ("all",))
    alone, usual = principal_directions(tiny_base, names, TEXTS), spectra.last_hidden_states

    def in_company(base: BaseModel, batch: Batch) -> torch.Tensor:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(base.module, torch.tensor([ORDINARY[0]])).result()
        return usual(base, batch)

    monkeypatch.setattr(spectra, "last_hidden_states", in_company)
    for name, spectrum in principal_directions(tiny_base, names, TEXTS).items():
        assert torch.equal(spectrum.energy_K, alone[name].energy_K)


def test_little_memory_takes_more_rounds_and_changes_nothing(
    tiny_base: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    names, done = find_targets(tiny_base.module, ("all",)), []
    expected = principal_directions(tiny_base, names, TEXTS)
    monkeypatch.setattr(spectra, "available_bytes", lambda device: 1)
    rounds = principal_directions(tiny_base, names, TEXTS, lambda *step: done.append(step))
    for name in names:
        torch.testing.assert_close(rounds[name].energy_K, expected[name].energy_K)
    assert done[-1] == (len(names), len(names))


def test_a_model_that_cannot_pack_reads_text_by_text(tiny_base: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    names = find_targets(tiny_base.module, ("all",))
    packed = principal_directions(tiny_base, names, TEXTS)
    monkeypatch.setattr(spectra, "supports_packing", lambda base: False)
    for name, spectrum in principal_directions(tiny_base, names, TEXTS).items():
        torch.testing.assert_close(spectrum.energy_K, packed[name].energy_K, atol=1e-4, rtol=1e-3)


def test_of_wide_layers_the_strongest_directions_are_kept(
    tiny_base: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = find_targets(tiny_base.module, ("all",))
    whole = principal_directions(tiny_base, names, TEXTS)
    monkeypatch.setattr(spectra, "KEPT", 16)
    for name, spectrum in principal_directions(tiny_base, names, TEXTS).items():
        assert spectrum.is_partial
        assert spectrum.directions_DK.shape == (whole[name].width, 16)
        torch.testing.assert_close(spectrum.energy_K[:8], whole[name].energy_K[:8], rtol=2e-2, atol=0)
        total = spectrum.energy_K.sum() + spectrum.rest * (spectrum.width - 16)
        torch.testing.assert_close(total, whole[name].energy_K.sum())
        assert spectrum.protected_count(0.9) == 16, "as far as they are kept"
