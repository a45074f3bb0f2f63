"""Content blocks of chat messages: their text, and the pictures in them. Nothing is fetched from the network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from seal_agent.errors import InputError
from seal_agent.images.encoding import decode_base64
from seal_agent.images.pictures import as_picture
from seal_agent.types import Picture

_TYPES = ("image", "image_url", "input_image")


def is_image_block(block: Any) -> TypeGuard[Mapping[str, Any]]:
    """Whether a content block is a picture."""
    return isinstance(block, Mapping) and block.get("type") in _TYPES


def picture_of_block(block: Mapping[str, Any]) -> Picture:
    """The picture of a content block, in the forms of OpenAI, LangChain and transformers. Raises InputError.

    {"type": "image", "image": a path, bytes or PIL image}, {"type": "image", "base64": …}, {"type": "image",
    "source_type": "base64", "data": …} and {"type": "image_url", "image_url": "data:image/png;base64,…"}.
    """
    url = block.get("image_url") or block.get("url")
    address = url.get("url") if isinstance(url, Mapping) else url
    if address:
        return as_picture(_data_of(str(address)))
    inner = block.get("source")  # Anthropic's form
    for holder in (block, inner if isinstance(inner, Mapping) else {}):
        for name in ("base64", "data"):
            if isinstance(holder.get(name), str):
                return as_picture(decode_base64(holder[name]))
    for name in ("image", "path"):
        if block.get(name) is not None:
            return as_picture(block[name])
    raise InputError('an image block holds no picture; give {"type": "image", "base64": …} or a data: URL')


def split_blocks(content: str | Sequence[Any]) -> tuple[str, tuple[Picture, ...]]:
    """The text of a message's content, and its pictures in order. Raises InputError for blocks of another kind."""
    if isinstance(content, str):
        return content, ()
    texts: list[str] = []
    pictures: list[Picture] = []
    for block in content:
        if isinstance(block, str):
            texts.append(block)
        elif is_image_block(block):
            pictures.append(picture_of_block(block))
        elif isinstance(block, Mapping) and isinstance(block.get("text"), str):
            texts.append(block["text"])
        else:
            raise InputError(f"a content block is text or an image, but one is {block!r}")
    return "\n".join(texts), tuple(pictures)


def _data_of(address: str) -> bytes:
    if not address.startswith("data:"):
        raise InputError(
            f"images are not fetched from the network ({address[:60]!r}); send them as data:image/png;base64,…"
        )
    return decode_base64(address)
