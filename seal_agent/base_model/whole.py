"""Whether a checkpoint holds every weight of its model: transformers draws those that are absent at random."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from seal_agent.errors import ModelError

_NAMED = 3  # in a message; the others are counted


def check_whole(source: str, loading_info: Mapping[str, Any]) -> None:
    """Raises ModelError where weights are absent.

    Args:
        source: What was loaded, as the beginning of a sentence.
        loading_info: Of transformers, without weights that are tied to others or that a model may leave out.
    """
    if missing := loading_info["missing_keys"]:
        raise ModelError(
            f"{source} lacks {len(missing)} of the model's weights ({listed(missing)}), which would be drawn at "
            "random; download it again, or give a model that is whole"
        )


def listed(names: Collection[str]) -> str:
    """The first names in order, with an ellipsis where there are more."""
    return ", ".join(sorted(names)[:_NAMED]) + ("…" if len(names) > _NAMED else "")
