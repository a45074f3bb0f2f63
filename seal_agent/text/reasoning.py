"""What a model thought aloud before its answer, and how to do without it."""

from __future__ import annotations

import re

_NAMES = "think|thinking|thought|thoughts|reason|reasoning|analysis|seed:think|scratchpad"
_OPENING = re.compile(rf"<\|?(?i:{_NAMES}|START_THINKING)\|?>|\[THINK\]|◁think▷")
_CLOSING = re.compile(rf"</(?i:{_NAMES})>|<\|(?i:/think|END_THINKING)\|>|\[/THINK\]|◁/think▷")
# Channels of harmony and Gemma: <|channel|>analysis<|message|>…<|end|>, <|channel>thought\n…<channel|>
_FINAL = re.compile(r"<\|channel\|>\s*final\b.*?<\|message\|>", re.DOTALL)
_CHANNEL = re.compile(r"<\|channel\|?>\s*(?:analysis|commentary|thought)\b")
_CHANNEL_END = re.compile(r"<channel\|>|<\|end\|>|<\|return\|>")
_UNMARKED = re.compile(r"\s*analysis(?=[A-Z\W]).*?assistantfinal", re.DOTALL)  # harmony without its control tokens


def without_reasoning(text: str) -> str:
    """The text without what a model thought aloud; "" where it never came to an end of that.

    Thoughts stand between tags, or before a closing tag whose opening one stood in the prompt, or in a channel of their
    own. A text that only mentions such a tag in a sentence stays as it is.
    """
    for without in (_without_channels, _without_tags):
        text = without(text)
    return text


def _without_channels(text: str) -> str:
    if unmarked := _UNMARKED.match(text):
        return text[unmarked.end() :].lstrip()
    if finals := list(_FINAL.finditer(text)):
        return _CHANNEL_END.split(text[finals[-1].end() :])[0].strip()
    while opening := _CHANNEL.search(text):
        closing = _CHANNEL_END.search(text, opening.end())
        text = (text[: opening.start()] + (text[closing.end() :] if closing else "")).strip()
    return text


def _without_tags(text: str) -> str:
    opening, closing = _OPENING.search(text), _CLOSING.search(text)
    if closing and (opening is None or closing.start() < opening.start()) and _is_tag_alone(text, closing):
        return _without_tags(text[closing.end() :].lstrip())
    if opening is None or text[: opening.start()].strip():
        return text
    tags = sorted([*_OPENING.finditer(text), *_CLOSING.finditer(text)], key=lambda tag: tag.start())
    depth, end = 0, max((tag.end() for tag in _CLOSING.finditer(text)), default=len(text))
    for tag in tags:
        depth += 1 if _OPENING.fullmatch(tag.group()) else -1
        if depth == 0:
            end = tag.end()
            break
    return _without_tags(text[end:].lstrip())


def _is_tag_alone(text: str, tag: re.Match[str]) -> bool:
    """Whether a closing tag stands where thoughts end, and is not mentioned in a sentence."""
    before, behind = text[: tag.start()], text[tag.end() :]
    at_end = not before.strip() or before.endswith("\n") or before.rstrip()[-1] in ".!?…。"
    return at_end or not behind.strip() or behind[0] == "\n" or behind[0].isalnum()
