"""Which self-edits of a passage are tried."""

from __future__ import annotations

from seal_agent.outer_loop.domains.knowledge import _interleave
from seal_agent.types import SelfEdit


def test_self_edits_of_a_long_passage_are_about_all_its_parts_in_turn() -> None:
    formats = ("implications", "rewrite")
    written = [SelfEdit(name, seed=seed, part=part) for part in (0, 1, 2) for name in formats for seed in (0, 1)]
    tried = _interleave(written, formats, 7)
    assert [(edit.format, edit.part, edit.seed) for edit in tried] == [
        ("implications", 0, 0),
        ("rewrite", 0, 0),
        ("implications", 1, 0),
        ("rewrite", 1, 0),
        ("implications", 2, 0),
        ("rewrite", 2, 0),
        ("implications", 0, 1),
    ]
    assert _interleave(written[:4], formats, 9) == [written[0], written[2], written[1], written[3]]
