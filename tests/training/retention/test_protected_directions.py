"""Adapters that may not read what ordinary text says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from seal_agent.base_model.model import BaseModel
from seal_agent.config import InnerLoopConfig
from seal_agent.errors import InputError
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.lora.targets import find_targets
from seal_agent.training.jobs import TrainJob
from seal_agent.training.retention import reference_text, spectra
from seal_agent.training.retention.reference_text import protected_directions, reference_texts
from seal_agent.training.retention.spectra import Directions, Spectrum, principal_directions
from seal_agent.training.train import train
from seal_agent.types import TrainingSequence

ORDINARY = [[5 + (i * 7 + k * 3) % 90 for i in range(24)] for k in range(6)]
CONFIG = InnerLoopConfig(rank=4, alpha=8, epochs=3, batch_size=2, learning_rate=1e-2, null_space=0.75, shrink=0.0)


def jobs(base: BaseModel, start: LoraAdapter | None = None) -> list[TrainJob]:
    ids = tuple(range(120, 140))
    sequences = tuple(TrainingSequence(ids[k:], ids[k:]) for k in range(4))
    directions = principal_directions(base, find_targets(base.module, CONFIG.targets), ORDINARY)
    return [TrainJob(sequences, CONFIG, start, directions)]


def strongest(directions: Directions, name: str, share: float = 0.75) -> torch.Tensor:
    spectrum = directions[name]
    return spectrum.directions_DK[:, : spectrum.protected_count(share)]


def share_read(base: BaseModel, adapter: LoraAdapter, share: float = 0.75) -> float:
    """The largest part of any layer's A that lies in the protected directions."""
    directions = principal_directions(base, tuple(adapter.pairs), ORDINARY)
    return max(
        float((strongest(directions, name, share).T @ pair.a_DR).norm() / pair.a_DR.norm())
        for name, pair in adapter.pairs.items()
    )


def test_a_new_adapter_never_reads_a_protected_direction_and_still_learns(tiny_base: BaseModel) -> None:
    (trained,) = train(tiny_base, jobs(tiny_base))
    assert share_read(tiny_base, trained.adapter) < 1e-4
    assert trained.summary.epoch_losses[-1] < trained.summary.epoch_losses[0]
    without = [TrainJob(job.sequences, job.config) for job in jobs(tiny_base)]
    assert share_read(tiny_base, train(tiny_base, without)[0].adapter) > 0.5, "without directions nothing is protected"


def test_a_continued_adapter_keeps_what_it_read_and_adds_nothing_protected(tiny_base: BaseModel) -> None:
    (first,) = train(tiny_base, [TrainJob(job.sequences, job.config) for job in jobs(tiny_base)])
    (second,) = train(tiny_base, jobs(tiny_base, first.adapter))
    directions = principal_directions(tiny_base, tuple(first.adapter.pairs), ORDINARY)
    for name, pair in second.adapter.pairs.items():
        added = pair.a_DR - first.adapter.pairs[name].a_DR
        assert added.norm() > 0
        assert (strongest(directions, name).T @ added).norm() < 1e-4 * pair.a_DR.norm()


def test_what_the_base_says_of_ordinary_text_moves_less(tiny_base: BaseModel) -> None:
    from seal_agent.lora.routing import routed
    from seal_agent.lora.serving import serving_route

    def moved(adapter: LoraAdapter) -> float:
        ids = torch.tensor([ORDINARY[0]])
        with torch.no_grad():
            before = tiny_base.module(ids).logits
            with routed(serving_route(tiny_base.module, [adapter], tiny_base.device, tiny_base.dtype)):
                return float((tiny_base.module(ids).logits - before).abs().mean())

    (protected,) = train(tiny_base, jobs(tiny_base))
    (free,) = train(tiny_base, [TrainJob(job.sequences, job.config) for job in jobs(tiny_base)])
    assert moved(protected.adapter) < 0.5 * moved(free.adapter)


def test_an_alpha_that_only_protection_tames_is_refused_without_it() -> None:
    with pytest.raises(InputError, match=r"alpha 512 ruins a model .* use alpha 64, or leave null_space"):
        InnerLoopConfig(null_space=0.0)
    assert InnerLoopConfig(null_space=0.0, alpha=64.0).alpha == 64


def test_null_space_is_a_share(tiny_base: BaseModel) -> None:
    with pytest.raises(ValueError, match="null_space"):
        InnerLoopConfig(null_space=1.0)


def test_the_directions_of_a_model_are_computed_once_and_kept_on_disk(
    tiny_base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEAL_CACHE", str(tmp_path))
    computed = []

    def compute(*arguments: Any, **more: Any) -> dict[str, Spectrum]:
        computed.append(arguments)
        return principal_directions(*arguments, **more)

    monkeypatch.setattr(reference_text, "principal_directions", compute)
    assert protected_directions(tiny_base, InnerLoopConfig(alpha=64, null_space=0.0, shrink=0.0)) is None
    assert not computed
    first = protected_directions(tiny_base, CONFIG)
    assert first is protected_directions(tiny_base, CONFIG)
    assert len(computed) == 1
    tiny_base.memo.clear()
    again = protected_directions(tiny_base, CONFIG)
    assert len(computed) == 1, "the second time they come from disk"
    assert first is not None
    assert again is not None
    for name, spectrum in first.items():
        assert torch.equal(again[name].directions_DK, spectrum.directions_DK)
        assert torch.equal(again[name].energy_K, spectrum.energy_K)
        assert again[name].rest == spectrum.rest
    (path,) = (tmp_path / "directions").iterdir()
    path.write_bytes(b"broken")
    tiny_base.memo.clear()
    assert protected_directions(tiny_base, CONFIG) is not None
    assert len(computed) == 2, "a damaged file is made again"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kept", [2560, 48])
def test_directions_just_computed_and_those_from_the_cache_train_the_same_weights(
    tiny_base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, kept: int
) -> None:
    monkeypatch.setenv("SEAL_CACHE", str(tmp_path))
    monkeypatch.setattr(spectra, "KEPT", kept)
    tiny_base.module.to(dtype)
    config = replace(CONFIG, shrink=1.0)
    trained = []
    for _ in range(2):
        tiny_base.memo.clear()
        directions = protected_directions(tiny_base, config)
        job = replace(jobs(tiny_base)[0], config=config, directions=directions)
        trained.append(train(tiny_base, [job])[0].adapter)
    for name, pair in trained[0].pairs.items():
        assert torch.equal(pair.a_DR, trained[1].pairs[name].a_DR)
        assert torch.equal(pair.b_RO, trained[1].pairs[name].b_RO)


def test_directions_are_kept_in_bfloat16(tiny_base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEAL_CACHE", str(tmp_path))
    directions = protected_directions(tiny_base, CONFIG)
    assert directions is not None
    exact = principal_directions(tiny_base, tuple(directions), reference_texts(tiny_base))
    for name, spectrum in directions.items():
        assert torch.equal(spectrum.directions_DK, exact[name].directions_DK.bfloat16().to(tiny_base.dtype))
        assert torch.equal(spectrum.energy_K, exact[name].energy_K)


def test_directions_cached_under_the_former_identity_are_found(
    tiny_base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEAL_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "model"
    tiny_base.module.save_pretrained(folder)
    tiny_base.tokenizer.save_pretrained(folder)
    now = replace(tiny_base, source=str(folder), memo={})
    assert now.former_identity
    before = replace(tiny_base, identity=now.former_identity, memo={})
    expected = protected_directions(before, CONFIG)
    assert protected_directions(now, CONFIG) is not None
    assert expected is not None
    assert len(list((tmp_path / "cache" / "directions").iterdir())) == 1
