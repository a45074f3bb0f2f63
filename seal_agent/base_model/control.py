"""Text is never control: content that holds a control string is read letter by letter, wherever it stands.

A chat template and a tokenizer take some strings for more than text: `<|im_end|>`, `[INST]`, `</s>`. Where such a
string comes from content (a passage, a title, a question, a turn, a tool's result), it must not open or close a turn.
Each occurrence is encoded as the plain letters it is made of. All other text is encoded as before.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from seal_agent.errors import InputError
from seal_agent.validation import check_whole_characters

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Range = tuple[int, int]
"""[start, stop) of characters."""

_TAG = re.compile(r"[<\[{(|｜].*[>\]})|｜]", re.DOTALL)
_DELIMITER = re.compile(r"</?[A-Za-z_|｜][^<>\s{}%'\"]*>|\[/?[A-Z_]{3,}\]")
_WORD = re.compile(r"[^\s'\"{}%]+")  # of a template: what stands between white space, quotes and Jinja's braces
_NONCHARACTERS = [chr(code) for code in range(0xFDD0, 0xFDF0)]  # Unicode keeps them free for internal use


@dataclass(frozen=True, slots=True)
class Controls:
    """The control strings of one tokenizer and its chat template."""

    tokens: frozenset[str]
    """Strings that the tokenizer encodes as one control token."""
    ids: frozenset[int]
    delimiters: frozenset[str]
    """Tags of the chat template that are plain text to the tokenizer, such as </tool_response> in some."""
    pattern: re.Pattern[str] | None
    """Matches any of `tokens`, the longest first."""
    unread: re.Pattern[str] | None = None
    """Matches those of `tokens` for which the model has no embedding, so that they are letters in every text."""

    def ranges(self, text: str) -> list[Range]:
        """Where control tokens stand in a text."""
        return _spans(self.pattern, text)

    def unread_ranges(self, text: str) -> list[Range]:
        """Where tokens without an embedding stand in a text."""
        return _spans(self.unread, text)


def controls_of(
    tokenizer: PreTrainedTokenizerBase, more: Sequence[int] = (), embeddings: int | None = None
) -> Controls:
    """Special tokens, added tokens that the chat template uses as tags, and those that the model cannot read.

    Other added tokens are ordinary text: runs of spaces, HTML tags, words of a language. So are the tokens for padding
    and for the unknown where a tokenizer took a word or a mark for them, such as "!".

    Args:
        more: Other ids that are control, such as the one that stands for a picture.
        embeddings: How many tokens the model embeds. Text-only Gemma 3 has no row for the tokenizer's picture token.
    """
    template = _source(tokenizer.chat_template)
    added = {id_: token for id_, token in tokenizer.added_tokens_decoder.items() if str(token)}
    ids = {
        id_ for id_, token in added.items() if token.special or (str(token) in template and _TAG.fullmatch(str(token)))
    }
    text = _plain_text(tokenizer, template)
    ids |= {id_ for id_ in (*tokenizer.all_special_ids, *more) if id_ is not None}
    ids -= set(tokenizer.convert_tokens_to_ids(sorted(text)))
    unread = {id_ for id_ in added if embeddings is not None and id_ >= embeddings}
    ids |= unread
    tokens = {str(added[id_]) for id_ in ids if id_ in added} | {
        token for token in tokenizer.all_special_tokens if token and token not in text
    }
    delimiters = frozenset(_DELIMITER.findall(template)) - tokens
    return Controls(
        frozenset(tokens), frozenset(ids), delimiters, _any_of(tokens), _any_of(str(added[id_]) for id_ in unread)
    )


def _any_of(strings: Iterable[str]) -> re.Pattern[str] | None:
    """Matches any of the strings, the longest first; None for no strings."""
    pattern = "|".join(re.escape(string) for string in sorted(strings, key=len, reverse=True))
    return re.compile(pattern) if pattern else None


def _spans(pattern: re.Pattern[str] | None, text: str) -> list[Range]:
    return [match.span() for match in pattern.finditer(text)] if pattern else []


def _plain_text(tokenizer: PreTrainedTokenizerBase, template: str) -> set[str]:
    """Tokens for padding and for the unknown that are no tags, that no template names, and that end no text."""
    named = {*_WORD.findall(template), tokenizer.bos_token, tokenizer.eos_token}
    fillers = {token for token in (tokenizer.pad_token, tokenizer.unk_token) if token}
    return {token for token in fillers - named if not _TAG.fullmatch(token)}


def _source(template: Any) -> str:
    """A chat template's source; some models have several by name."""
    return "\n".join(template.values()) if isinstance(template, dict) else template or ""


def encode(
    tokenizer: PreTrainedTokenizerBase, controls: Controls, text: str, literal: Sequence[Range], special: bool
) -> list[int]:
    """Token ids of a text in which the control strings at `literal` are plain letters.

    Args:
        special: Let the tokenizer add its own special tokens around the text.
    """
    check_whole_characters("the text", text)
    if not literal:
        return list(tokenizer(text, add_special_tokens=special)["input_ids"])
    if not tokenizer.is_fast:
        return _encode_pieces(tokenizer, controls, text, literal, special)
    encoding = tokenizer(text, add_special_tokens=special, return_offsets_mapping=True)
    ids: list[int] = []
    written: Range = (-1, -1)
    for token, (start, stop) in zip(encoding["input_ids"], encoding["offset_mapping"], strict=True):
        place = next((r for r in literal if start < r[1] and stop > r[0]), None)
        if place is None:
            ids.append(token)
        elif place != written:  # a token may swallow the white space around it
            ids += literal_ids(tokenizer, controls, text[min(start, place[0]) : max(stop, place[1])])
            written = place
    return ids


def _encode_pieces(
    tokenizer: PreTrainedTokenizerBase, controls: Controls, text: str, literal: Sequence[Range], special: bool
) -> list[int]:
    """For tokenizers that do not tell where their tokens stand."""
    ids: list[int] = []
    before = 0
    for start, stop in literal:
        ids += tokenizer(text[before:start], add_special_tokens=special and not before)["input_ids"]
        ids += literal_ids(tokenizer, controls, text[start:stop])
        before = stop
    return ids + list(tokenizer(text[before:], add_special_tokens=False)["input_ids"])


def literal_ids(tokenizer: PreTrainedTokenizerBase, controls: Controls, text: str) -> list[int]:
    """A control string as letters: without special tokens, else cut behind its first letter, else letter by letter."""
    for pieces in ([text], [text[:1], text[1:]], list(text)):
        ids = [
            token
            for piece in pieces
            if piece
            for token in tokenizer(piece, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        ]
        if controls.ids.isdisjoint(ids):
            return ids
    return [token for token in ids if token not in controls.ids]


# ---------------------------------------------------------------- hiding


@dataclass(slots=True)
class Hidden:
    """Control strings of contents, taken out before a template sees them and put back as literals behind it."""

    controls: Controls
    opening: str
    closing: str
    strings: list[str] = field(default_factory=list)

    @classmethod
    def for_texts(cls, controls: Controls, texts: Iterable[str]) -> Hidden:
        """Raises InputError where the texts use up all characters that could stand for a control string."""
        used = set().union(*(set(text) for text in texts))
        free = [character for character in _NONCHARACTERS if character not in used]
        if len(free) < 2:
            raise InputError(
                "the text holds too many of the characters U+FDD0 to U+FDEF, which Unicode reserves; drop them"
            )
        return cls(controls, free[0], free[1])

    def hide(self, text: str) -> str:
        """The text with a placeholder for each control string."""
        if self.controls.pattern is None:
            return text

        def placeholder(match: re.Match[str]) -> str:
            self.strings.append(match.group())
            return f"{self.opening}{len(self.strings) - 1}{self.closing}"

        return self.controls.pattern.sub(placeholder, text)

    def show(self, rendered: str) -> tuple[str, list[Range]]:
        """The rendered text with the control strings back in it, and where they stand."""
        parts: list[str] = []
        ranges: list[Range] = []
        length = 0
        for part, string in self._parts(rendered):
            text = self.strings[string] if string is not None else part
            if string is not None:
                ranges.append((length, length + len(text)))
            parts.append(text)
            length += len(text)
        return "".join(parts), ranges

    def _parts(self, rendered: str) -> Iterator[tuple[str, int | None]]:
        pattern = re.compile(f"{self.opening}(\\d+){self.closing}")
        before = 0
        for match in pattern.finditer(rendered):
            yield rendered[before : match.start()], None
            yield match.group(), int(match[1])
            before = match.end()
        yield rendered[before:], None


def broken(text: str, delimiters: Iterable[str]) -> str:
    """A tool's result in which no delimiter of the template stands whole: a space follows its first letter.

    Plain-text delimiters have no token of their own, so that only other letters tell a copy from the real one.
    """
    for delimiter in delimiters:
        text = text.replace(delimiter, f"{delimiter[0]} {delimiter[1:]}")
    return text
