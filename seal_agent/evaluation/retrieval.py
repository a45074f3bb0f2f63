"""The rival that learns nothing: BM25 over all passages of a suite, and the best of them in the prompt."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, takewhile

from seal_agent.answering.recall import Asked
from seal_agent.base_model.model import BaseModel
from seal_agent.errors import InputError, MissingDependency
from seal_agent.prompts import question_with_passage
from seal_agent.types import Context, Message

_GAP = "\n\n"


class PassageSearch:
    """BM25 over title and text of passages, with English stop words. Raises MissingDependency without bm25s."""

    def __init__(self, contexts: Sequence[Context]) -> None:
        try:
            import bm25s
        except ImportError as err:
            raise MissingDependency("retrieval needs bm25s: pip install 'seal-agent[bench]'") from err
        self.contexts = list({(c.title, c.text): c for c in contexts}.values())
        self._tokenize = bm25s.tokenize
        self._index = bm25s.BM25()
        corpus = [f"{context.title}\n{context.text}" for context in self.contexts]
        self._index.index(self._tokenize(corpus, stopwords="en", show_progress=False), show_progress=False)

    def best(self, title: str, question: str, count: int) -> list[Context]:
        """The `count` passages that fit a question best, the best first."""
        tokens = self._tokenize([f"{title}\n{question}"], stopwords="en", show_progress=False)
        found, _ = self._index.retrieve(tokens, k=min(count, len(self.contexts)), show_progress=False)
        return [self.contexts[int(number)] for number in found[0]]


def with_passages(base: BaseModel, found: Sequence[Context], title: str, question: str, max_tokens: int) -> Asked:
    """The question with the passages that fit into the model's window in its prompt, the first ones first.

    Raises InputError where not even the first one fits.
    """
    for count in range(_most(base, found), 0, -1):
        text = found[0].text if count == 1 else _GAP.join(_titled(context) for context in found[:count])
        prompt = (Message("user", question_with_passage(title, text, question)),)
        if len(base.encode(prompt)) + max_tokens <= base.window:
            return Asked(prompt, question, title)
    raise InputError(f"the passage {found[0].title!r} does not fit the window of {base.window} tokens; split it")


def _most(base: BaseModel, found: Sequence[Context]) -> int:
    """How many passages fit the window if nothing else is in the prompt, at least 1."""
    lengths = accumulate(len(base.tokens(_titled(context))) for context in found)
    return max(1, sum(1 for _ in takewhile(lambda length: length < base.window, lengths)))


def _titled(context: Context) -> str:
    return f"{context.title}\n{context.text}" if context.title else context.text
