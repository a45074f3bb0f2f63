"""Images in lm-eval's requests: a task with `doc_to_image` adds {"visual": …} to the arguments of each of them.

The prompt of such a task shows where an image belongs by PLACEHOLDER. Imports neither lm-eval nor torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from seal_agent.config import ImageLimits
from seal_agent.errors import InputError
from seal_agent.images.loading import ImageSource, LoadedImage, load_image
from seal_agent.integrations.lm_eval.tasks import KNOWLEDGE, domain_of

PLACEHOLDER = "<image>"
"""What stands for an image in a prompt, as in lm-eval's own multimodal models."""


class Request(Protocol):
    """What is read of lm-eval's Instance."""

    task_name: str | None
    doc: Any

    @property
    def args(self) -> tuple[Any, ...]:
        """Prompt, options or continuation, and, of a multimodal task, what goes with them."""
        ...


def has_visuals(request: Request) -> bool:
    """Whether a request shows images. Raises InputError for one that has sound."""
    if len(request.args) < 3 or not isinstance(request.args[2], Mapping):
        return False
    if request.args[2].get("audio"):
        raise InputError(
            f"{request.task_name} asks about sound, which --model seal cannot hear; use a task of text or images"
        )
    return bool(_listed(request.args[2].get("visual")))


def visuals_of(request: Request, limits: ImageLimits | None = None) -> tuple[LoadedImage, ...]:
    """The images of a request in the order of its placeholders, checked; () where it has none.

    Tasks give images of Pillow, bytes, paths, or rows of a data set's image column. Raises InputError.
    """
    if not has_visuals(request):
        return ()
    images = tuple(load_image(_source(visual), limits) for visual in _listed(request.args[2]["visual"]))
    placeholders = str(request.args[0]).count(PLACEHOLDER)
    if placeholders not in (0, len(images)):
        raise InputError(
            f"a prompt of {request.task_name} has {placeholders} × {PLACEHOLDER} for {len(images)} images; "
            "correct its doc_to_text or doc_to_image"
        )
    return images


def without_placeholders(prompt: str) -> str:
    """The prompt where images go before it, or are not shown."""
    return prompt.replace(f"{PLACEHOLDER}\n", "").replace(PLACEHOLDER, "")


def check_visuals(requests: Sequence[Request], sees: bool, model: str) -> None:
    """Raises InputError for a request with images if the model does not see."""
    if sees:
        return
    for request in requests:
        if has_visuals(request):
            raise InputError(
                f"{request.task_name} asks about images, and {model} reads text only; "
                "give an image-text-to-text model as pretrained="
            )


def check_no_visuals(requests: Sequence[Request]) -> None:
    """Raises InputError for a request with images whose continuations are to be scored."""
    for request in requests:
        if has_visuals(request):
            raise InputError(
                f"{request.task_name} scores given answers about images, as neither --model seal nor lm-eval's own "
                "hf-multimodal can; use a task whose output_type is generate_until"
            )


def check_learnable(requests: Sequence[Request], mode: str) -> None:
    """Raises InputError for a question about nothing, without a passage and without images, that is to be learned."""
    for request in requests if mode != "base" else ():
        if domain_of(request.doc) == KNOWLEDGE and not request.doc["context"] and not has_visuals(request):
            raise InputError(
                f"{request.task_name} shows nothing to learn from, so mode={mode} does not apply; "
                "use mode=base, or the task seal_pictures with a model that sees"
            )


def _listed(visual: Any) -> list[Any]:
    """The images of a task as a list; a task may give a single one, and None for a place without one."""
    several = visual if isinstance(visual, Sequence) and not isinstance(visual, str | bytes) else [visual]
    return [image for image in several if image is not None]


def _source(visual: Any) -> ImageSource:
    """An image as `load_image` takes it; data sets that do not decode give {"bytes", "path"}."""
    if isinstance(visual, Mapping) and {"bytes", "path"} & visual.keys():
        visual = visual.get("bytes") or str(visual.get("path"))
    source: ImageSource = visual
    return source
