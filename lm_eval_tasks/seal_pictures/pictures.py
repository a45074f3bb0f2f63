"""The pictures of the task: read from their specification, and drawn from it whenever one is needed."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seal_agent.types import Context, Question

if TYPE_CHECKING:
    from PIL.Image import Image

    from lm_eval_tasks.seal_pictures.canvas import Canvas

SPECIFICATION = Path(__file__).with_name("pictures.jsonl")


@dataclass(frozen=True)
class Picture:
    """A picture's specification. `skills` say what each question takes: to read, compare, place or name a colour."""

    name: str
    kind: str
    title: str
    data: Mapping[str, Any]
    questions: tuple[Question, ...]
    skills: tuple[str, ...]

    def draw(self) -> Image:
        """The picture in RGB; the same pixels each time. Raises MissingDependency."""
        return self.canvas().image

    def canvas(self) -> Canvas:
        """The picture with the places of its texts."""
        from seal_agent.images.loading import require_pillow

        require_pillow()
        from lm_eval_tasks.seal_pictures.kinds.registry import KINDS

        return KINDS[self.kind].draw(self.title, self.data)

    @property
    def context(self) -> Context:
        """Title and questions, without any text to learn from: that is in the picture alone."""
        return Context("", self.title, self.questions)


@functools.cache
def pictures() -> tuple[Picture, ...]:
    """All pictures, kinds in turn, so that the first ones are of different kinds."""
    return tuple(_picture(json.loads(line)) for line in SPECIFICATION.read_text(encoding="utf-8").splitlines())


def picture_named(name: str) -> Picture:
    """Raises KeyError."""
    return {picture.name: picture for picture in pictures()}[name]


def _picture(row: Mapping[str, Any]) -> Picture:
    return Picture(
        row["name"],
        row["kind"],
        row["title"],
        row["data"],
        tuple(Question(question, tuple(golds)) for question, golds, _ in row["questions"]),
        tuple(skill for _, _, skill in row["questions"]),
    )
