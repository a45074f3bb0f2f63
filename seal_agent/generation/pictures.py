"""The pictures of a prompt, and whether a model sees them in our prompts as it does by itself: tried once.

Some models put what they see into more than the embeddings of a prompt: into later layers, or beside the text, and no
config says so.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from seal_agent.base_model.model import BaseModel
from seal_agent.base_model.sight import FIRST_ID, SeenPicture
from seal_agent.errors import InputError, first_line
from seal_agent.generation.batching import alike
from seal_agent.generation.decoding_state import last_logits
from seal_agent.images.pictures import as_picture
from seal_agent.lora.routing import routed
from seal_agent.lora.seeing import let_see
from seal_agent.types import Message, Picture


def pictures_of(base: BaseModel, ids: Sequence[int]) -> tuple[SeenPicture, ...]:
    """The pictures of a prompt, for its row to hold. Raises InputError where the model cannot see them there."""
    if not base.sees or not (pictures := base.sight.held(ids)):
        return ()
    check_sees(base)
    return pictures


def check_sees(base: BaseModel) -> None:
    """Raises InputError where the model sees our prompts otherwise than its own; tried on the first picture."""
    if "sees as itself" not in base.memo:
        let_see(base.module)
        base.memo["sees as itself"] = _difference(base)
    if why := base.memo["sees as itself"]:
        raise InputError(
            f"pictures cannot be shown to {base.name!r} ({type(base.module).__name__}): {why}; "
            "load a model of one of the families in docs/vision.md"
        )


def _difference(base: BaseModel) -> str:
    """What differs; "" if nothing does."""
    try:
        with torch.inference_mode(), routed(None):
            ids = base.encode((Message("user", "What is this?", pictures=(_striped(),)),))
            held = base.sight.held(ids)
            ids_1T = torch.tensor([ids], device=base.device)
            ours = last_logits(base.module, ids_1T, torch.ones_like(ids_1T), 1)
            theirs = base.module(**_own_inputs(base, ids_1T, held[0].prepared.inputs)).logits[:, -1:]
        return "" if alike(ours, theirs, base.dtype) else "it sees more of a picture than stands in a prompt"
    except InputError:
        raise
    except Exception as err:  # a model may fail in any way where it does not support what is tried
        return f"it does not run on one ({first_line(err)})"


def _own_inputs(base: BaseModel, ids_1T: Tensor, pixels: Any) -> dict[str, Any]:
    """The same prompt as the model's own processor gives it."""
    accepted = inspect.signature(base.module.forward).parameters
    marks_1T = ids_1T >= FIRST_ID
    given = {
        "input_ids": ids_1T.masked_fill(marks_1T, base.sight.token),
        "attention_mask": torch.ones_like(ids_1T),
        "mm_token_type_ids": marks_1T.int(),
        "token_type_ids": marks_1T.long(),
        "use_cache": False,
    }
    for name, value in pixels.items():
        if isinstance(value, Tensor):
            dtype = base.dtype if value.is_floating_point() else value.dtype
            given[name] = value.to(base.device, dtype)
    return {name: value for name, value in given.items() if name in accepted or name == "input_ids"}


def _striped() -> Picture:
    """A picture in which every place differs."""
    from PIL import Image

    gradient = Image.linear_gradient("L").resize((64, 64))
    return as_picture(Image.merge("RGB", (gradient, gradient.rotate(90), gradient.rotate(180))))
