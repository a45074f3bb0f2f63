"""The code blocks of the project's pages, and the command lines in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md")),
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "lm_eval_tasks").glob("*/README.md"),
    ]
)
FENCE = re.compile(r"^(?P<indent> *)```(?P<kind>\w*)\s*$")
NOT_RUN = re.compile(r"<!-- not run: (?P<why>.+?) -->")
SHELLS = ("sh", "bash")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block. `why_not` is the reason of a `<!-- not run: … -->` above it."""

    page: Path
    line: int
    kind: str
    text: str
    why_not: str | None

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page: Path) -> Iterator[Block]:
    lines = iter(enumerate(page.read_text(encoding="utf-8").splitlines(), 1))
    above = ""
    for number, line in lines:
        if opened := FENCE.match(line):
            body = []
            for _, inside in lines:
                if FENCE.match(inside) and inside.strip() == "```":
                    break
                body.append(inside.removeprefix(opened["indent"]))
            marked = NOT_RUN.search(above)
            yield Block(page, number, opened["kind"], "\n".join(body) + "\n", marked["why"] if marked else None)
            above = ""
        elif line.strip():
            above = line


def all_blocks(*kinds: str) -> list[Block]:
    return [block for page in PAGES for block in blocks_of(page) if block.kind in kinds]


@dataclass(frozen=True, slots=True)
class Command:
    """One command of a shell block: the program and its arguments, without variables set before it."""

    block: Block
    words: tuple[str, ...]

    @property
    def program(self) -> str:
        return self.words[0]

    @property
    def arguments(self) -> list[str]:
        return list(self.words[1:])

    def __str__(self) -> str:
        return f"{self.block} {' '.join(self.words)[:70]}"


def commands_of(block: Block) -> Iterator[Command]:
    """The commands of a block; those in `$(…)` too. A placeholder such as `$(seal tasks)` stays one word."""
    for line in block.text.replace("\\\n", " ").splitlines():
        for inner in re.findall(r"\$\(([^()]+)\)", line):
            yield Command(block, tuple(shlex.split(inner)))
        for words in _split(shlex.split(re.sub(r"\$\(([^()]+)\)", "SUBSTITUTED", line), comments=True)):
            while words and re.match(r"^[A-Z_0-9]+=", words[0]):
                words = words[1:]
            if words:
                yield Command(block, tuple(words))


def _split(words: list[str]) -> Iterator[list[str]]:
    """The commands between `&&`, `;` and `|`."""
    current: list[str] = []
    for word in words:
        ends = word.endswith(";") and word != ";"
        if word in ("&&", ";", "|", "||"):
            yield current
            current = []
            continue
        current.append(word.rstrip(";") if ends else word)
        if ends:
            yield current
            current = []
    yield current
