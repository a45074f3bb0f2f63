"""The recipes that recipes.py compares: how notes are written, and how they are trained."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Any

from seal_agent.config import PLAIN_LORA, InnerLoopConfig, SelfEditConfig, recorded_settings
from seal_agent.config import RECIPES as NAMED


@dataclass(frozen=True, slots=True)
class Recipe:
    """How notes are written and trained; without `inner_loop` nothing is trained."""

    name: str
    self_edit: SelfEditConfig
    inner_loop: InnerLoopConfig | None = None
    in_context: bool = False


PASSAGE_ONLY = SelfEditConfig(formats=("passage",), synonyms=0)
NOTES = replace(PASSAGE_ONLY, formats=("implications",))
QA = replace(PASSAGE_ONLY, formats=("sentences", "sentence-qa"))
SENTENCES = ("sentences", "shuffled", "cloze")
UPPER_HALF = tuple(f"layers.{number}" for number in range(15, 30))  # of the bundled model
EVIDENCE = replace(PASSAGE_ONLY, formats=("evidence",), cues=0)
ALL_LAYERS = replace(PLAIN_LORA, rank=32, alpha=64.0, targets=("all",), epochs=5, learning_rate=1e-3, batch_size=4)
REFERENCES = (
    Recipe("base", PASSAGE_ONLY),
    Recipe("in context", PASSAGE_ONLY, in_context=True),
    Recipe("passage, q and v (the paper's)", PASSAGE_ONLY, NAMED["paper"].inner_loop),
)
RECIPES = (
    Recipe("passage", PASSAGE_ONLY, replace(ALL_LAYERS, epochs=25, batch_size=1)),
    Recipe("implications", NOTES, replace(ALL_LAYERS, epochs=10)),
    Recipe("implications, not verified", replace(NOTES, verify="off"), replace(ALL_LAYERS, epochs=10)),
    Recipe("sentence-qa", QA, replace(ALL_LAYERS, epochs=8)),
    Recipe("sentence-qa, distilled too", QA, replace(ALL_LAYERS, objective="both")),
    Recipe("sentence-qa, distilled", QA, replace(ALL_LAYERS, objective="distill")),
    Recipe("self-qa", replace(PASSAGE_ONLY, formats=("self-qa",)), replace(ALL_LAYERS, epochs=10)),
    Recipe("sentences, shuffled, cloze", replace(PASSAGE_ONLY, formats=SENTENCES), replace(ALL_LAYERS, epochs=6)),
    Recipe("evidence, no cues", EVIDENCE, replace(ALL_LAYERS, epochs=8)),
    Recipe("evidence, no cues, upper half", EVIDENCE, replace(ALL_LAYERS, epochs=8, targets=UPPER_HALF)),
    Recipe("evidence, 3 cues", replace(EVIDENCE, cues=3), replace(ALL_LAYERS, epochs=4)),
    Recipe("evidence, 3 cues, 16 anchors", replace(EVIDENCE, cues=3), replace(ALL_LAYERS, epochs=4, anchors=16)),
    Recipe(
        "evidence, 3 cues, null space",
        replace(EVIDENCE, cues=3),
        replace(ALL_LAYERS, epochs=4, learning_rate=4e-3, null_space=0.6),
    ),
    Recipe(
        "evidence, 9 openings",
        replace(EVIDENCE, cues=3),
        replace(ALL_LAYERS, alpha=512.0, epochs=3, null_space=0.6, openings=9, shrink=1.0),
    ),
    Recipe(
        "evidence, 9 openings, synonyms",
        replace(EVIDENCE, cues=3, synonyms=3),
        replace(ALL_LAYERS, alpha=512.0, epochs=3, null_space=0.6, openings=9, shrink=1.0),
    ),
    Recipe("evidence, 8 cues", replace(EVIDENCE, cues=8), replace(ALL_LAYERS, epochs=2)),
    Recipe("evidence, 8 cues, rank 8", replace(EVIDENCE, cues=8), replace(ALL_LAYERS, epochs=2, rank=8, alpha=16.0)),
    Recipe("evidence, 8 cues, 5e-4", replace(EVIDENCE, cues=8), replace(ALL_LAYERS, epochs=3, learning_rate=5e-4)),
)
DEFAULT = next(recipe for recipe in RECIPES if recipe.name == "evidence, 9 openings, synonyms")
"""The shipped default."""


def recipe_key(recipe: Recipe) -> dict[str, Any]:
    """The recipe as it stands in the results file. Rows belong to a recipe only if all its settings match."""
    key: dict[str, Any] = json.loads(json.dumps(recorded_settings(asdict(recipe))))
    for name in ("continued", "replay"):  # no effect on an adapter's first passage
        (key["inner_loop"] or {}).pop(name, None)
    return key
