"""The documents of seal_pictures, and what lm-eval shows of one."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from datasets import Dataset

from lm_eval_tasks.knowledge import documents, question
from lm_eval_tasks.seal_pictures.pictures import picture_named, pictures
from seal_agent.errors import InputError
from seal_agent.integrations.lm_eval.visuals import PLACEHOLDER

if TYPE_CHECKING:
    from PIL.Image import Image


def dataset(**arguments: Any) -> dict[str, Dataset]:
    """One document per question; `limit_contexts` counts pictures. lm-eval passes all model arguments by name."""
    if arguments.get("passages_file"):
        raise InputError("passages_file= holds passages, and seal_pictures asks about pictures; leave it out")
    rows = documents([picture.context for picture in pictures()], **arguments)["test"]
    return {"test": Dataset.from_list([row | _picture_of(int(row["passage"]), row["question"]) for row in rows])}


def _picture_of(index: int, asked: str) -> dict[str, str]:
    """The name of a picture and what the question takes; the picture itself is drawn where it is shown."""
    picture = pictures()[index]
    skills = {question.text: skill for question, skill in zip(picture.questions, picture.skills, strict=True)}
    return {"picture": picture.name, "skill": skills[asked]}


def prompt(doc: Mapping[str, Any]) -> str:
    """The place of the picture, its title, and the question."""
    return f"{PLACEHOLDER}\n{question(doc)}"


def images(doc: Mapping[str, Any]) -> list[Image]:
    """The picture that a document asks about, as lm-eval's models take it."""
    return [_drawn(doc["picture"])]


@functools.cache
def _drawn(name: str) -> Image:
    """One image for all six questions."""
    return picture_named(name).draw()
