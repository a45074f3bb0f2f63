"""A task as text: its examples one below the other, then the test input whose output the model completes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from seal_agent.arc.grids import Example, Grid, Style, Unparsed, format_grid, parse_grid

ARROW = "\n->\n"
BLANK_LINE = "\n\n"
"""Ends an output in training and in answers, so that no special token has to be known by name."""


@dataclass(frozen=True, slots=True)
class FormattedExamples:
    """Examples as text, and the (begin, end) of each output with its terminating blank line, in characters."""

    text: str
    outputs: tuple[tuple[int, int], ...]


def format_examples(examples: Sequence[Example], style: Style) -> FormattedExamples:
    """All examples, with their outputs."""
    text, outputs = "", []
    for example in examples:
        text += format_grid(example.input, style) + ARROW
        begin = len(text)
        text += format_grid(example.output, style) + BLANK_LINE
        outputs.append((begin, len(text)))
    return FormattedExamples(text, tuple(outputs))


def prompt_of(examples: Sequence[Example], test_input: Grid, style: Style) -> str:
    """The prompt: the examples, then the test input, whose output the model completes."""
    return format_examples(examples, style).text + format_grid(test_input, style) + ARROW


def answer_of(grid: Grid, style: Style) -> str:
    """An output as it is trained on and scored."""
    return format_grid(grid, style) + BLANK_LINE


def format_attempts(grids: Sequence[Grid], style: Style) -> str:
    """Several attempts as one answer; `parse_attempts` parses it."""
    return BLANK_LINE.join(format_grid(grid, style) for grid in grids)


def parse_attempts(text: str, style: Style, limit: int) -> list[Grid]:
    """Up to `limit` grids from an answer, separated by blank lines. Parts that are not grids are skipped."""
    parsed = [parse_grid(part, style) for part in text.strip().split(BLANK_LINE)]
    return [grid for grid in parsed if not isinstance(grid, Unparsed)][:limit]
