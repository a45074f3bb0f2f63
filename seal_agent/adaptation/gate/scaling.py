"""Scaling an update back: a point on the straight line from the parent's weights to the candidate's.

Between finetuned weights and those before, what was learned and what was lost change gradually (WiSE-FT, Wortsman et
al., 2022, arXiv 2109.01903).
"""

from __future__ import annotations

from seal_agent.lora.adapter import LoraAdapter, LoraPair


def scaled(start: LoraAdapter | None, trained: LoraAdapter, share: float) -> LoraAdapter:
    """The adapter that keeps a share of an update, 0 (the parent) to 1 (all of it).

    Both factors of a continued adapter are interpolated. A new one changes nothing where its B is zero, so only B is
    scaled.
    """
    pairs = {
        name: LoraPair(
            pair.a_DR if start is None else start.pairs[name].a_DR.lerp(pair.a_DR, share),
            pair.b_RO * share if start is None else start.pairs[name].b_RO.lerp(pair.b_RO, share),
        )
        for name, pair in trained.pairs.items()
    }
    return LoraAdapter(trained.rank, trained.alpha, pairs, trained.transposed)
