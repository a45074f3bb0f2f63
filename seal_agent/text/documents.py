"""Cuts long documents into passages: slices of the text, so that only white space at the cuts is lost."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from seal_agent.errors import InputError
from seal_agent.text.languages import language_of
from seal_agent.text.layout import PARAGRAPH, is_laid_out
from seal_agent.text.sentences import SPEAKER, sentences_of

MAX_DOCUMENT_TOKENS = 131_072  # not tuned; training on more in one adapt call would take hours
_LINE = re.compile(r"\n")
_STOP = re.compile(  # within what is too long; Chinese, Japanese, Khmer and Burmese need no white space behind it
    rf"(?<=[.!?।॥۔؟։።])\s+|(?<=[。！？។။])(?![。！？」』”’）])\s*|(?<=[。！？][」』”’）])(?!{SPEAKER.pattern})\s*"
)
_CLAUSE = re.compile(r"(?<=[，、；])\s*")
_SPACE = re.compile(r"\s+")
_INDENT = re.compile(r"(?:^|\n)([ \t]*)\Z")
_INDENTED_LINE = re.compile(r"\n[ \t]+\S")

Span = tuple[int, int]
"""Where a part of the text begins and ends."""
_SENTENCES = "sentences"
Separator = re.Pattern[str] | str
"""What separates parts: a pattern, or the ends of sentences."""


def split_document(text: str, count_tokens: Callable[[str], int], limit: int) -> list[str]:
    """Split a text into passages of at most `limit` tokens.

    Cuts fall between paragraphs where possible, else between sentences (in tables, lists and source code: lines), else
    between words (in Chinese and Japanese: behind commas). Nothing is lost but the white space at the cuts. Raises
    InputError for an empty text or one over MAX_DOCUMENT_TOKENS.
    """
    if not text.strip():
        raise InputError("the context is empty; give a text to learn from")
    total = count_tokens(text)
    if total > MAX_DOCUMENT_TOKENS:
        raise InputError(
            f"the context has {total} tokens, more than the {MAX_DOCUMENT_TOKENS} that one call takes; "
            "split it and adapt to one part after the other"
        )
    return _Splitter(text, count_tokens, limit, language_of(text)).passages()


@dataclass(frozen=True, slots=True)
class _Splitter:
    text: str
    count_tokens: Callable[[str], int]
    limit: int
    language: str

    def passages(self) -> list[str]:
        return [self._passage(span) for span in self._split(self._stripped(0, len(self.text)), [PARAGRAPH])]

    def _split(self, span: Span, separators: Sequence[Separator]) -> list[Span]:
        """Split at the first separator, and with the finer ones where a part is still too long."""
        start, stop = span
        if self._size(span) <= self.limit or stop - start < 2:
            return [span]
        if not separators:
            half = start + (stop - start) // 2
            return [*self._split((start, half), []), *self._split((half, stop), [])]
        parts = [
            part
            for block in self._blocks(span, separators[0])
            for part in self._split(block, separators[1:] or self._finer(block, separators[0]))
        ]
        return self._join_neighbours(parts)

    def _finer(self, block: Span, separator: Separator) -> Sequence[Separator]:
        """How to split a paragraph: where it has lines, at these before sentences if they are laid out, else after."""
        if separator is not PARAGRAPH:
            return []
        lines = self.text[slice(*block)].split("\n")
        if len(lines) == 1:
            return [_SENTENCES, _STOP, _CLAUSE, _SPACE]
        if is_laid_out(lines):
            return [_LINE, _SENTENCES, _STOP, _CLAUSE, _SPACE]
        return [_SENTENCES, _LINE, _STOP, _CLAUSE, _SPACE]

    def _blocks(self, span: Span, separator: Separator) -> Iterator[Span]:
        """What stands between the separators, without surrounding white space."""
        start, stop = span
        part = self.text[start:stop]
        gaps = (
            self._between_sentences(part)
            if isinstance(separator, str)
            else map(re.Match.span, separator.finditer(part))
        )
        cuts = [(start + begin, start + end) for begin, end in gaps]
        for begin, end in zip([start, *(end for _, end in cuts)], [*(begin for begin, _ in cuts), stop], strict=True):
            block = self._stripped(begin, end)
            if block[0] < block[1]:
                yield block

    def _between_sentences(self, part: str) -> Iterator[Span]:
        """The white space between the sentences of a part of the text; none of what a sentence lacks is lost."""
        behind = 0
        for sentence in sentences_of(part, self.language):
            begin = part.find(sentence, behind)
            if begin < 0:
                continue
            if behind:
                gap = part[behind:begin]
                yield behind, behind + len(gap) - len(gap.lstrip())
            behind = begin + len(sentence)

    def _join_neighbours(self, parts: list[Span]) -> list[Span]:
        """Join consecutive parts while they fit.

        The sum of the parts' token counts and of what stands between them is an upper bound for the joined text.
        """
        passages: list[Span] = []
        used = 0
        for start, stop in parts:
            size = self._size((start, stop)) + 1
            between = self.text[passages[-1][1] : start] if passages else ""
            joined = used + size + (self.count_tokens(between) if len(between) > 2 else 0)
            if passages and joined <= self.limit:
                passages[-1], used = (passages[-1][0], stop), joined
            else:
                passages.append((start, stop))
                used = size
        return passages

    def _passage(self, span: Span) -> str:
        """The text of a span; with the indent of its first line where later lines are indented too."""
        passage = self.text[slice(*span)]
        indent = _INDENT.search(self.text, 0, span[0])
        if indent and _INDENTED_LINE.search(passage) and self._size((indent.start(1), span[1])) <= self.limit:
            return indent.group(1) + passage
        return passage

    def _size(self, span: Span) -> int:
        return self.count_tokens(self.text[slice(*span)])

    def _stripped(self, start: int, stop: int) -> Span:
        part = self.text[start:stop]
        return start + len(part) - len(part.lstrip()), start + len(part.rstrip())
