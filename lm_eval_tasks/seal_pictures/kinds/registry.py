"""The kinds of pictures by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from lm_eval_tasks.seal_pictures.canvas import Canvas
from lm_eval_tasks.seal_pictures.inventor import Invention, Inventor
from lm_eval_tasks.seal_pictures.kinds import (
    bars,
    board,
    label,
    lines,
    panel,
    pie,
    plan,
    receipt,
    shelf,
    sign,
    transit,
    tree,
)


@dataclass(frozen=True, slots=True)
class Kind:
    """How a kind of picture is invented (the number chooses its theme) and drawn (from its title and data)."""

    invent: Callable[[Inventor, int], Invention]
    draw: Callable[[str, Mapping[str, Any]], Canvas]


def _kind(module: ModuleType) -> Kind:
    return Kind(module.invent, module.draw)


KINDS: Mapping[str, Kind] = {
    module.__name__.rpartition(".")[2]: _kind(module)
    for module in (bars, lines, pie, plan, sign, label, transit, receipt, board, shelf, panel, tree)
}
