"""A task as text: the examples one below the other, then the input whose output is to be written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from seal_agent.arc.grids import Example, Grid, Style, Unparsed, format_grid, parse_grid

BECOMES = "\n->\n"
BETWEEN = "\n\n"
"""Ends an output, in training and when answering, so that no special token has to be known by name."""


@dataclass(frozen=True, slots=True)
class Laid:
    """A task written out, and the (begin, end) of each output with the blank line that ends it, in characters."""

    text: str
    outputs: tuple[tuple[int, int], ...]


def lay_out_examples(examples: Sequence[Example], style: Style) -> Laid:
    """All of them with their outputs."""
    text, outputs = "", []
    for example in examples:
        text += format_grid(example.input, style) + BECOMES
        begin = len(text)
        text += format_grid(example.output, style) + BETWEEN
        outputs.append((begin, len(text)))
    return Laid(text, tuple(outputs))


def prompt_of(examples: Sequence[Example], asked: Grid, style: Style) -> str:
    """The examples, and the input that the model is to go on from."""
    return lay_out_examples(examples, style).text + format_grid(asked, style) + BECOMES


def answer_of(grid: Grid, style: Style) -> str:
    """An output as it is learnt and scored."""
    return format_grid(grid, style) + BETWEEN


def attempts_text(grids: Sequence[Grid], style: Style) -> str:
    """Several attempts as one answer; `attempts_in` reads it back."""
    return BETWEEN.join(format_grid(grid, style) for grid in grids)


def attempts_in(text: str, style: Style, most: int) -> list[Grid]:
    """Up to `most` grids in an answer, separated by blank lines; what is no grid is left out."""
    found = [parse_grid(part, style) for part in text.strip().split(BETWEEN)]
    return [grid for grid in found if not isinstance(grid, Unparsed)][:most]
